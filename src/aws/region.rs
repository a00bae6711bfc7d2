//! Regions and accounts of AWS, and the host names of its services in each region.

use url::Url;

/// The domains of AWS: the usual one, China's, and that of the European Sovereign Cloud.
const DOMAINS: [&str; 3] = ["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu"];

/// A region, by its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Region(String);

impl Region {
    /// Reads a name such as `eu-west-1`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_letter = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        let is_name = text.len() <= 32
            && text.bytes().all(is_letter)
            && text
                .bytes()
                .next()
                .is_some_and(|it| it.is_ascii_lowercase())
            && text
                .bytes()
                .next_back()
                .is_some_and(|it| it.is_ascii_digit())
            && text.matches('-').count() >= 2;
        is_name
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| "is not the name of a region of AWS such as eu-west-1".into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it is in China, where other limits apply.
    pub fn is_in_china(&self) -> bool {
        self.0.starts_with("cn-")
    }

    /// Its partition, the part of an ARN after `arn:`.
    pub fn partition(&self) -> &'static str {
        match self.0.split('-').next() {
            Some("cn") => "aws-cn",
            Some("eusc") => "aws-eusc",
            Some("us") if self.0.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }

    /// The endpoint of a service in this region.
    pub fn endpoint(&self, service: &str) -> Option<Url> {
        let domain = match self.partition() {
            "aws-cn" => DOMAINS[1],
            "aws-eusc" => DOMAINS[2],
            _ => DOMAINS[0],
        };
        Url::parse(&format!("https://{service}.{}.{domain}", self.0)).ok()
    }
}

/// Whether a text is the number of an account, as in an ARN.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|it| it.is_ascii_digit())
}

/// Whether a host belongs to AWS, as do endpoints in the user's own network there (VPC).
pub(super) fn is_of_aws(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let is_below = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|it| it.ends_with('.'))
    };
    DOMAINS.into_iter().any(is_below)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        Region::parse(name).unwrap()
    }

    #[test]
    fn a_region_names_its_hosts_and_partition() {
        for (name, host, partition) in [
            ("eu-west-1", "events.eu-west-1.amazonaws.com", "aws"),
            (
                "cn-northwest-1",
                "events.cn-northwest-1.amazonaws.com.cn",
                "aws-cn",
            ),
            (
                "us-gov-west-1",
                "events.us-gov-west-1.amazonaws.com",
                "aws-us-gov",
            ),
            ("us-east-2", "events.us-east-2.amazonaws.com", "aws"),
            (
                "eusc-de-east-1",
                "events.eusc-de-east-1.amazonaws.eu",
                "aws-eusc",
            ),
        ] {
            let region = region(name);
            assert_eq!(region.endpoint("events").unwrap().host_str(), Some(host));
            assert_eq!(region.partition(), partition);
            assert_eq!(region.is_in_china(), name.starts_with("cn-"));
        }
    }

    #[test]
    fn what_is_no_region_cannot_become_a_host() {
        for text in [
            "",
            "europe",
            "eu-west",
            "eu-west-1.evil.example",
            "EU-WEST-1",
            "eu-west-1/",
            "-eu-west-1",
            "westeurope",
            "a-b-1@evil-1",
        ] {
            assert!(Region::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_of_aws_ends_as_one() {
        let is_of_aws = |url: &str| is_of_aws(&Url::parse(url).unwrap());
        assert!(is_of_aws("https://sts.eu-west-1.amazonaws.com"));
        assert!(is_of_aws("https://vpce-1.sts.eu-west-1.vpce.amazonaws.com"));
        assert!(is_of_aws("https://sts.cn-north-1.amazonaws.com.cn"));
        for url in [
            "https://amazonaws.com",
            "https://evilamazonaws.com",
            "https://sts.amazonaws.com.evil.example",
            "https://10.0.0.1",
        ] {
            assert!(!is_of_aws(url), "{url}");
        }
    }
}
