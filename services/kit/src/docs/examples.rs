//! Examples that follow from what a field is: of instants and of booleans nobody has to write one down.

use serde_json::{Value, json};
use utoipa::openapi::{
    KnownFormat, OpenApi, RefOr, Schema, SchemaFormat,
    schema::{Object, SchemaType, Type},
};

/// Gives an example to every such field of the schemas that has none.
pub(super) fn complete(document: &mut OpenApi) {
    let schemas = document
        .components
        .iter_mut()
        .flat_map(|it| it.schemas.values_mut());
    for schema in schemas {
        complete_fields(schema);
    }
}

fn complete_fields(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            for field in object.properties.values_mut() {
                if let RefOr::T(Schema::Object(field)) = field
                    && field.example.is_none()
                {
                    field.example = example(field);
                }
            }
        }
        RefOr::T(Schema::AllOf(parts)) => parts.items.iter_mut().for_each(complete_fields),
        RefOr::T(Schema::OneOf(kinds)) => kinds.items.iter_mut().for_each(complete_fields),
        _ => {}
    }
}

fn example(field: &Object) -> Option<Value> {
    if field.format == Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)) {
        Some(json!("2026-01-31T09:30:00.123456Z"))
    } else if field.schema_type == SchemaType::Type(Type::Boolean) {
        Some(json!(true))
    } else {
        None
    }
}
