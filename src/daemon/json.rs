//! JSON output of the program, with control characters made printable.

use crate::model::printable;
use serde::Serialize;
use serde_json::Value;

/// Serializes a value as one line; each text is passed through [`printable`].
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(&shown(serde_json::to_value(value)?))
}

fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text)),
        Value::Array(all) => Value::Array(all.into_iter().map(shown).collect()),
        Value::Object(all) => {
            let all = all.into_iter();
            Value::Object(
                all.map(|(key, one)| (printable(&key), shown(one)))
                    .collect(),
            )
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_shown_at_any_depth() {
        let evil = serde_json::json!({ "n\u{1b}": [{ "a": "x\ny\u{202e}" }, 7, true, null] });
        let text = json(&evil).unwrap();
        assert_eq!(
            text,
            r#"{"n\\u{1b}":[{"a":"x\\u{a}y\\u{202e}"},7,true,null]}"#
        );
    }
}
