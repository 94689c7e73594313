//! `[registry]`: where schemas are asked for, and as whom.

use super::merge::join;
use super::{OutputFormat, Problem, Resolve, Secret, raw};
use crate::codec::Input;

/// `[registry]`, valid.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Base addresses, tried in turn; at least one where an input needs it.
    pub urls: Vec<String>,
    /// As whom; none = nobody.
    pub credentials: Option<Credentials>,
    /// Certificate of the authority to trust, PEM; none = those of the web.
    pub ca: Option<String>,
}

/// How the registry knows us.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Name and password.
    Basic(String, Secret),
    /// A token.
    Bearer(Secret),
}

/// Checks `[registry]`; none where no address is given.
pub(super) fn registry(
    raw: &raw::Registry,
    (inputs, output): (&[Input], OutputFormat),
    resolve: Resolve<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Registry> {
    let urls: Vec<String> =
        raw.url.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect();
    if urls.iter().any(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        problems.push(Problem::new("registry.url", "not an address", "such as \"https://registry:8081\""));
    }
    let of_input = inputs.iter().find(|input| input.is_avro()).map(|input| format!("the input {} is Avro", input.name));
    let of_output = (output == OutputFormat::Avro).then(|| "output.format is avro".to_owned());
    if urls.is_empty()
        && let Some(reason) = of_input.or(of_output)
    {
        let message = format!("missing: {reason}");
        problems.push(Problem::new("registry.url", &message, "such as \"https://registry:8081\""));
    }
    let mut secret = |key: &str, text: &str| reference(key, text, resolve, problems);
    let (password, token) = (secret("password", &raw.password), secret("token", &raw.token));
    let ca = secret("ca", &raw.ca);
    let credentials = match (token, password) {
        (Some(token), None) => Some(Credentials::Bearer(Secret::new(token))),
        (None, Some(password)) => Some(Credentials::Basic(raw.username.clone(), Secret::new(password))),
        (None, None) => None,
        (Some(_), Some(_)) => {
            problems.push(Problem::new("registry.token", "token and password exclude each other", "set one of them"));
            None
        }
    };
    (!urls.is_empty()).then_some(Registry { urls, credentials, ca })
}

/// What a reference to a secret or a file holds; none for an empty text.
fn reference(key: &str, text: &str, resolve: Resolve<'_>, problems: &mut Vec<Problem>) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let path = join("registry", key);
    if !text.starts_with("env:") && !text.starts_with("file:") {
        problems.push(Problem::new(&path, "must not stand in the file", "write \"env:NAME\" or \"file:PATH\""));
        return None;
    }
    match resolve(text) {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(Problem::new(&path, &format!("cannot read {text}: {error}"), ""));
            None
        }
    }
}
