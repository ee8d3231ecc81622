//! The doors and terms of a right, from the command line.

use crate::{cli::Terms, client::Client, failure::Failure};
use doorward_wire::{Time, grant::Weekday};
use serde_json::{Value, json};
use std::time::Duration;

/// The terms that were named, on top of those that were there. `--for` counts from now.
pub(crate) fn terms(terms: &Terms, before: &Value) -> Result<Value, Failure> {
    let mut value = if before.is_object() { before.clone() } else { json!({}) };
    let mut set = |key: &str, given: Option<Value>| {
        if let Some(given) = given {
            value[key] = given;
        }
    };
    let until = match &terms.span {
        Some(span) => Some(json!(now().plus(read_span(span)?))),
        None => terms.until.as_ref().map(|until| json!(until)),
    };
    set("until", until);
    set("from", terms.from.as_ref().map(|from| json!(from)));
    set("weekdays", Some(json!(weekdays(&terms.weekdays)?)).filter(|_| !terms.weekdays.is_empty()));
    set("hours", Some(json!(terms.hours)).filter(|_| !terms.hours.is_empty()));
    set("holidays", terms.holidays.as_ref().map(|holidays| json!(holidays)));
    set("uses", terms.uses.map(|uses| json!(uses)));
    set("two_person", terms.two_person.then_some(json!(true)));
    set("duress", terms.duress.then_some(json!(true)));
    Ok(value)
}

/// Weekdays as people write them, also `mon-fri`, and `fri-mon` across Sunday.
pub(crate) fn weekdays(words: &[String]) -> Result<Vec<Weekday>, Failure> {
    let day = |word: &str| {
        let word = word.trim().to_lowercase();
        let wrong =
            || Failure::usage(format!("--weekdays {word}: write days as mon,tue,wed,thu,fri,sat,sun, or from one to another as mon-fri"));
        word.parse::<Weekday>().map_err(|_| wrong())
    };
    let mut days = Vec::new();
    for word in words {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let (first, last) = (day(first)?, day(last)?);
        for one in Weekday::ALL.iter().cycle().skip_while(|one| **one != first) {
            if !days.contains(one) {
                days.push(*one);
            }
            if *one == last {
                break;
            }
        }
    }
    Ok(days)
}

/// The end of a span from now on.
pub(crate) fn until(span: &str) -> Result<Time, Failure> {
    Ok(now().plus(read_span(span)?))
}

/// Doors as the API knows them: names become identifiers.
pub(crate) async fn doors(client: &Client, doors: &[String]) -> Result<Vec<String>, Failure> {
    let mut known = Vec::new();
    for door in doors {
        known.push(if door == "*" || door.starts_with("site:") {
            door.clone()
        } else {
            super::door::find(client, door).await?.id.to_string()
        });
    }
    Ok(known)
}

/// When and how often, in a line.
pub(crate) fn words(terms: &Value) -> String {
    let list = |key: &str| terms[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    let mut words: Vec<String> = ["weekdays", "hours"].into_iter().map(list).filter(|words| !words.is_empty()).collect();
    for (key, before) in [("from", "from "), ("until", "until "), ("holidays", "holidays ")] {
        words.extend(terms[key].as_str().map(|text| format!("{before}{text}")));
    }
    words.extend(terms["uses"].as_u64().map(|uses| format!("{uses} uses")));
    words.extend(["two_person", "duress"].into_iter().filter(|key| terms[*key] == true).map(ToOwned::to_owned));
    words.join(" ")
}

/// A span of time as people write it: `90m`, `4h`, `3d`, `2w`.
fn read_span(text: &str) -> Result<Duration, Failure> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => 0,
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| Failure::usage(format!("--for {text}: write a span such as 90m, 4h, 3d or 2w")))
}

fn now() -> Time {
    use doorward_engine::Clock as _;
    doorward_engine::SystemClock::new().now().utc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekdays_are_read_one_by_one_and_from_one_to_another() {
        use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
        let read = |words: &[&str]| weekdays(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["mon-fri"]).unwrap(), [Monday, Tuesday, Wednesday, Thursday, Friday]);
        assert_eq!(read(&["sat-mon", "Wed", "mon"]).unwrap(), [Saturday, Sunday, Monday, Wednesday]);
        assert_eq!(read(&["sun-sun"]).unwrap(), [Sunday]);
        for wrong in ["", "m", "mon-", "-fri", "mon-fri-sun", "montag"] {
            assert!(read(&[wrong]).unwrap_err().lines[0].contains("mon-fri"), "{wrong}");
        }
    }

    #[test]
    fn a_span_is_read_as_people_write_it() {
        for (text, seconds) in [("90m", 5400), ("4h", 14_400), ("3d", 259_200), ("2w", 1_209_600)] {
            assert_eq!(read_span(text).unwrap(), Duration::from_secs(seconds));
        }
        for wrong in ["", "4", "0h", "-1h", "1.5h", "4 h", "99999999999999999999d", "1y"] {
            read_span(wrong).unwrap_err();
        }
    }
}
