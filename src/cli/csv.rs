//! Amazon's file of API keys: comma-separated, with a head that names the columns.
//!
//! `Name` and `Key` must be there, `Description`, `Enabled` and `UsagePlanIds` (a list of its own,
//! in quotes) may; letter case and order are free, other columns are passed over.

use serde_json::{Value, json};

/// The keys of a file, as the admin API takes them.
///
/// # Errors
/// What is wrong, with its line.
pub(super) fn keys(text: &str) -> Result<Vec<Value>, String> {
    let mut records = records(text.strip_prefix('\u{feff}').unwrap_or(text))?.into_iter();
    let (_, head) = records.next().ok_or("the file is empty")?;
    let column = |name: &str| {
        let is = |known: &String| known.trim().eq_ignore_ascii_case(name);
        head.iter().position(is)
    };
    let missing = |name: &str| format!("line 1: no column {name:?}; there must be Name and Key");
    let name = column("name").ok_or_else(|| missing("Name"))?;
    let key = column("key").ok_or_else(|| missing("Key"))?;
    let (description, enabled) = (column("description"), column("enabled"));
    let plans = column("usageplanids");
    records
        .map(|(line, fields)| {
            let cell = |at: usize| {
                fields
                    .get(at)
                    .map(|cell| cell.trim())
                    .filter(|c| !c.is_empty())
            };
            let lacks = |what: &str| format!("line {line}: the {what} is missing");
            let enabled = enabled.and_then(cell).map(truth).transpose();
            let plans = plans.and_then(cell).map(|list| {
                let names = list.split(',').map(str::trim);
                names.filter(|name| !name.is_empty()).collect::<Vec<_>>()
            });
            Ok(json!({
                "name": cell(name).ok_or_else(|| lacks("name"))?,
                "value": cell(key).ok_or_else(|| lacks("key"))?,
                "description": description.and_then(cell),
                "enabled": enabled.map_err(|text| {
                    format!("line {line}: {text:?} is neither true nor false")
                })?,
                "plans": plans,
            }))
        })
        .collect()
}

fn truth(text: &str) -> Result<bool, String> {
    match &*text.to_ascii_lowercase() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(text.to_owned()),
    }
}

/// The records of a text by RFC 4180, each with the number of its first line; empty lines are none.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut records = Vec::new();
    let (mut line, mut begun) = (1, 1);
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        line += usize::from(character == '\n');
        match (character, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            ('"', true) => quoted = false,
            ('"', false) if field.trim().is_empty() => {
                field.clear();
                quoted = true;
            }
            (',', false) => fields.push(std::mem::take(&mut field)),
            ('\r', false) if characters.peek() == Some(&'\n') => {}
            ('\n', false) => {
                end(&mut records, begun, &mut fields, &mut field);
                begun = line;
            }
            (other, _) => field.push(other),
        }
    }
    if quoted {
        return Err(format!("line {begun}: a quote is not closed"));
    }
    end(&mut records, begun, &mut fields, &mut field);
    Ok(records)
}

fn end(
    records: &mut Vec<(usize, Vec<String>)>,
    begun: usize,
    fields: &mut Vec<String>,
    field: &mut String,
) {
    if fields.is_empty() && field.trim().is_empty() {
        field.clear();
        return;
    }
    fields.push(std::mem::take(field));
    records.push((begun, std::mem::take(fields)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Value, &str>) {
        let found = keys(text).map(Value::Array);
        assert_eq!(found, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn amazons_form() {
        let text = "Name,key,description,Enabled,usageplanIds\r\n\
                    MyFirstApiKey,apikey1234abcdefghij0123456789,An imported key,TRUE,\"c7y23b, x\"\r\n\
                    \r\n\
                    Second,12345678901234567890,,,\r\n";
        let first = json!({ "name": "MyFirstApiKey", "value": "apikey1234abcdefghij0123456789",
            "description": "An imported key", "enabled": true, "plans": ["c7y23b", "x"] });
        let second = json!({ "name": "Second", "value": "12345678901234567890",
            "description": null, "enabled": null, "plans": null });
        check(text, Ok(json!([first, second])));
    }

    #[test]
    fn columns_have_any_order_and_others_are_passed_over() {
        let text = "\u{feff}KEY,Stage,NAME\nk,x,\"a \"\"b\"\",\nc\"";
        let row = json!({ "name": "a \"b\",\nc", "value": "k",
            "description": null, "enabled": null, "plans": null });
        check(text, Ok(json!([row])));
    }

    #[test]
    fn mistakes_have_their_lines() {
        check("", Err("the file is empty"));
        check(
            "Name\nx",
            Err("line 1: no column \"Key\"; there must be Name and Key"),
        );
        check("Name,Key\na,b\n,c", Err("line 3: the name is missing"));
        check(
            "Name,Key\n\"a\nb\",c\nd,",
            Err("line 4: the key is missing"),
        );
        check(
            "Name,Key,Enabled\na,b,yes",
            Err("line 2: \"yes\" is neither true nor false"),
        );
        check("Name,Key\n\"a,b", Err("line 2: a quote is not closed"));
    }
}
