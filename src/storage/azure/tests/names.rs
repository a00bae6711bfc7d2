//! Objects that another program has named.

use super::*;

/// Other tools may write such names beside this program's objects. `object_store` knows no path like
/// these, and would list nothing because of one.
#[tokio::test]
async fn a_name_of_another_program_hides_no_object_of_a_container() {
    let blob = |name: &str| {
        format!(
            "<Blob><Name>{name}</Name><Properties>\
             <Last-Modified>Sat, 21 Nov 2026 08:00:00 GMT</Last-Modified><Etag>1</Etag>\
             <Content-Length>1</Content-Length><Content-Type>text/plain</Content-Type>\
             </Properties></Blob>"
        )
    };
    let blobs: String = ["a/1", "a//2", "a/./3", "a/b&#10;c", "a/4", "a/5/"]
        .map(blob)
        .concat();
    let answer = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults>\
         <Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
    );
    let double = Double::start(move |_| answer.clone().into_response()).await;
    let container = double.container(By::Key);
    assert_eq!(container.list("a").await.unwrap(), ["a/1", "a/4"]);
}

/// `object_store` would encode some letters of such a name, and so ask for another one.
#[tokio::test]
async fn what_is_listed_can_be_read_and_removed_by_the_name_that_it_has() {
    let answer = |request: Request| {
        let headers = [
            ("etag", "\"1\""),
            ("last-modified", "Sat, 21 Nov 2026 08:00:00 GMT"),
        ];
        let is_list = |query: &str| query.contains("comp=list");
        if request.uri().query().is_some_and(is_list) {
            return "<EnumerationResults><Blobs><Blob><Name>a/copy~[1] 50%.gz</Name><Properties>\
                    <Last-Modified>Sat, 21 Nov 2026 08:00:00 GMT</Last-Modified><Etag>1</Etag>\
                    <Content-Length>1</Content-Length><Content-Type>text/plain</Content-Type>\
                    </Properties></Blob></Blobs></EnumerationResults>"
                .into_response();
        }
        let path = request.uri().path().as_bytes();
        let (path, _) = url::form_urlencoded::parse(path).next().unwrap();
        match &*path {
            "/acme/auth0-poller/a/copy~[1] 50%.gz" => (headers, "x").into_response(),
            _ => azure_error(404, "BlobNotFound", "Told by the account."),
        }
    };
    let container = Double::start(answer).await.container(By::Key);
    let paths = container.list("a").await.unwrap();
    assert_eq!(paths, ["a/copy~[1] 50%.gz"]);
    let (content, _) = container.read(&paths[0]).await.unwrap().unwrap();
    assert_eq!(&content[..], b"x");
    container.remove(&paths[0]).await.unwrap();
}
