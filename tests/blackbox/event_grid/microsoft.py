"""Publishes two events to a topic by Microsoft's client, and prints how that went.

Arguments: the endpoint, a key, and the name of the topic if it is one of a namespace.
"""

import sys

from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient

endpoint, key, *topic = sys.argv[1:]
client = EventGridPublisherClient(
    endpoint,
    AzureKeyCredential(key),
    namespace_topic=topic[0] if topic else None,
    retry_total=0,
)
events = [
    CloudEvent(
        id=str(number),
        source="urn:auth0:acme.eu.auth0.com",
        type="auth0.log.fp",
        subject="auth0|5f1",
        data={"type": "fp", "log_id": str(number)},
    )
    for number in (1, 2)
]
try:
    client.send(events)
    print("taken")
except HttpResponseError as error:
    print(error.status_code, error.message)
