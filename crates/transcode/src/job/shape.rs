//! What types alone say badly: objects of one key that have several, and arrays where objects belong, whose fields serde takes in
//! their order.

use serde_json::{Map, Value};

use crate::error::JobError;

type Checked = Result<(), JobError>;

/// Checks a specification whose fields need not be right otherwise.
pub(super) fn check(job: &Value) -> Checked {
    let Some(job) = object("", job)? else {
        return Ok(());
    };
    for (name, input) in entries(job, "inputs") {
        let path = format!("inputs.{name}");
        let Some(input) = object(&path, input)? else {
            continue;
        };
        for (index, part) in items(input, "concat") {
            object(&format!("{path}.concat[{index}]"), part)?;
        }
    }
    for (name, filter) in entries(job, "filters") {
        one_key(&format!("filters.{name}"), filter, "the name of a filter")?;
    }
    for (index, output) in items(job, "outputs") {
        let path = format!("outputs[{index}]");
        let Some(output) = object(&path, output)? else {
            continue;
        };
        for (index, stream) in items(output, "streams") {
            one_key(
                &format!("{path}.streams[{index}]"),
                stream,
                "`video` or `audio`",
            )?;
        }
    }
    Ok(())
}

/// The values of a field by their names.
fn entries<'a>(
    object: &'a Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object
        .get(field)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// The values of a field by their numbers.
fn items<'a>(
    object: &'a Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = (usize, &'a Value)> {
    let items = object.get(field).and_then(Value::as_array);
    items.into_iter().flatten().enumerate()
}

/// `value` as an object. An array is none; of others the types say what is wrong.
fn object<'a>(path: &str, value: &'a Value) -> Result<Option<&'a Map<String, Value>>, JobError> {
    match value {
        Value::Object(object) => Ok(Some(object)),
        Value::Array(_) => Err(JobError::spec(path, "expected an object, found an array")),
        _ => Ok(None),
    }
}

fn one_key(path: &str, value: &Value, what: &str) -> Checked {
    let Some(found) = object(path, value)? else {
        return Ok(());
    };
    let mut keys = found.iter();
    match (keys.next(), keys.next()) {
        (Some((key, value)), None) => object(&format!("{path}.{key}"), value).map(drop),
        _ => {
            let names: Vec<_> = found.keys().map(String::as_str).collect();
            let found = match names.as_slice() {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            Err(JobError::spec(
                path,
                format!("expected one key, {what}, found {found}"),
            ))
        }
    }
}
