//! Parses BODYSTRUCTURE into a list of parts.

use crate::model::Part;
use async_imap::imap_proto::{
    BodyContentCommon, BodyContentSinglePart, BodyStructure, ContentEncoding,
};

/// Deepest nesting that is listed.
const DEPTH: usize = 50;
/// Most parts of a message.
const MOST: usize = 10_000;

/// Parameters of Content-Type and Content-Disposition.
pub type Parameters = Vec<(String, String)>;

/// Returns all parts, each before its children, with the parameters that may contain its file name.
pub fn parts(structure: &BodyStructure<'_>) -> Vec<(Part, Parameters)> {
    let mut all = Vec::new();
    message(structure, "", 0, &mut all);
    all
}

type PartList = Vec<(Part, Parameters)>;

/// Adds the parts of a message; `above` is the number of the parent.
fn message(structure: &BodyStructure<'_>, above: &str, depth: usize, all: &mut PartList) {
    let number = match structure {
        BodyStructure::Multipart { .. } => String::new(),
        _ => below(above, 1),
    };
    part(structure, (number, above), depth, all);
}

fn part(
    structure: &BodyStructure<'_>,
    (number, above): (String, &str),
    depth: usize,
    all: &mut PartList,
) {
    if depth > DEPTH || all.len() >= MOST {
        return;
    }
    match structure {
        BodyStructure::Basic { common, other, .. } | BodyStructure::Text { common, other, .. } => {
            all.push(described(common, Some(other), number, depth));
        }
        BodyStructure::Message {
            common,
            other,
            body,
            ..
        } => {
            all.push(described(common, Some(other), number.clone(), depth));
            message(body, &number, depth + 1, all);
        }
        BodyStructure::Multipart { common, bodies, .. } => {
            all.push(described(common, None, number.clone(), depth));
            let above = if number.is_empty() { above } else { &number };
            for (index, inner) in bodies.iter().enumerate() {
                let number = below(above, index + 1);
                part(inner, (number, above), depth + 1, all);
            }
        }
    }
}

fn below(above: &str, number: usize) -> String {
    match above.is_empty() {
        true => number.to_string(),
        false => format!("{above}.{number}"),
    }
}

fn described(
    common: &BodyContentCommon<'_>,
    single: Option<&BodyContentSinglePart<'_>>,
    number: String,
    depth: usize,
) -> (Part, Parameters) {
    let disposition = common.disposition.as_ref();
    let of_disposition = disposition.and_then(|one| one.params.as_ref());
    let given = of_disposition.into_iter().chain(common.ty.params.as_ref());
    let parameters: Parameters = given
        .flatten()
        .map(|(key, value)| (key.to_ascii_lowercase(), value.to_string()))
        .collect();
    let charset = parameters.iter().find(|(key, _)| key == "charset");
    let part = Part {
        number,
        depth,
        kind: format!("{}/{}", common.ty.ty, common.ty.subtype).to_ascii_lowercase(),
        charset: charset.map(|(_, value)| value.clone()),
        encoding: single.map_or("7bit".to_owned(), |one| encoding(&one.transfer_encoding)),
        name: None,
        size: single.map_or(0, |one| u64::from(one.octets)),
        attached: disposition.is_some_and(|one| one.ty.eq_ignore_ascii_case("attachment")),
    };
    (part, parameters)
}

fn encoding(encoding: &ContentEncoding<'_>) -> String {
    match encoding {
        ContentEncoding::SevenBit => "7bit",
        ContentEncoding::EightBit => "8bit",
        ContentEncoding::Binary => "binary",
        ContentEncoding::Base64 => "base64",
        ContentEncoding::QuotedPrintable => "quoted-printable",
        ContentEncoding::Other(name) => name,
    }
    .to_ascii_lowercase()
}
