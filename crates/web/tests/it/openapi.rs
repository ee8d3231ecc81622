//! The `OpenAPI` document and the routes are the same list.

use crate::support::House;
use serde_json::{Value, json};

#[tokio::test]
async fn every_documented_route_is_there_and_takes_no_other_method() {
    let house = House::new().await;
    let token = house.token(&["admin"]).await;
    let document: Value = house.ask("GET", "/api/v1/openapi.json").token(&token).send().await.ok(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, methods) in document["paths"].as_object().unwrap() {
        let filled = path.replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let documented = methods.get(method.to_lowercase()).is_some();
            // Whoever takes a body is reached although this one is wrong.
            let answer = house.ask(method, &filled).header("Accept", "text/plain").text("text/plain", "").send().await;
            if documented {
                assert!(![404, 405].contains(&answer.status), "{method} {path} is documented: {}", answer.text());
            } else {
                assert_eq!(answer.status, 405, "{method} {path} is not documented");
            }
        }
    }
}

#[test]
fn no_route_is_registered_beside_the_document() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(".route(") || path.ends_with("routes.rs"), "{}: use routes!", path.display());
    }
}

#[test]
fn every_operation_is_described_under_a_name_of_its_own() {
    let document: Value = serde_json::from_str(&doorward_web::api::openapi_json()).unwrap();
    let mut names = std::collections::BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert_ne!(operation["summary"], json!(null), "{method} {path} says what it does");
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path} has a name of its own");
            assert_ne!(operation["tags"], json!(null), "{method} {path} has a tag");
        }
    }
}
