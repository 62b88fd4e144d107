//! JSON output of the program, with control characters made printable and times for people.

use crate::model::printable;
use serde::Serialize;
use serde_json::Value;

/// Serializes a value as one line; each text is passed through [`printable`], and beside a time in
/// seconds since 1970 (`at`, `NAME_at`) stands the same as RFC 3339 (`time`, `NAME_time`).
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(&shown(serde_json::to_value(value)?))
}

/// Returns the key and value of the same time as RFC 3339, in the zone of the machine; `None`: it
/// is no time, or 0 for none.
fn zoned(key: &str, value: &Value) -> Option<(String, Value)> {
    let name = match key {
        "at" => "time".to_owned(),
        _ => format!("{}_time", key.strip_suffix("_at")?),
    };
    let at = match value {
        Value::Null => return Some((name, Value::Null)),
        value => value.as_i64()?,
    };
    let at = jiff::Timestamp::from_second(at).ok().filter(|_| at > 0)?;
    let at = at.to_zoned(jiff::tz::TimeZone::system());
    let text = at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    Some((name, Value::String(text)))
}

fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text)),
        Value::Array(all) => Value::Array(all.into_iter().map(shown).collect()),
        Value::Object(all) => {
            let times: Vec<_> = all.iter().filter_map(|(k, v)| zoned(k, v)).collect();
            let all = all.into_iter();
            let all = all.map(|(key, one)| (printable(&key), shown(one)));
            Value::Object(all.chain(times).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_beside_seconds_since_1970() {
        let one = serde_json::json!({ "at": 1_700_000_000, "next_at": null, "compared_at": 0,
                                      "that": 5 });
        let text = json(&one).unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        let at: jiff::Timestamp = all["time"].as_str().unwrap().parse().unwrap();
        assert_eq!(at.as_second(), 1_700_000_000);
        assert!(
            all["next_time"].is_null() && all.get("next_time").is_some(),
            "{text}"
        );
        assert!(
            all.get("compared_time").is_none() && all["that"] == 5,
            "{text}"
        );
    }

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
