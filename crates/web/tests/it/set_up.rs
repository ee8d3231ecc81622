//! The page on which it is chosen what of an account opens.

use crate::{
    pages::led_to,
    support::{Answer, House},
};

const PAGE: &str = "/accounts/home/set-up";

#[track_caller]
fn assert_says(page: &Answer, words: &[&str]) {
    for words in words {
        assert!(page.text().contains(words), "{words} is not in {}", page.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn homes_are_chosen_and_registered() {
    let house = House::new().await;
    house.session().await;
    let page = house.look(&format!("{PAGE}?done=account_signed_in")).await;
    assert_eq!(page.status, 200);
    assert_says(
        &page,
        &[
            "value=\"p-1\" checked>",
            "value=\"p-2\" checked>",
            "value=\"p-3\" disabled>",
            "Villa &#60;b&#62;",
            "Unit &#60;1&#62;: Drive, Garden",
            "Unit: nothing that opens",
            "There is no gateway in it.",
            "Signed in",
            ">Register<",
        ],
    );
    assert!(!page.text().contains("name=\"certificate\""), "there is none to renew");

    let none = house.form(PAGE, "").send().await;
    assert_eq!(none.status, 422);
    assert_says(&none, &["role=\"alert\"", "Choose at least one.", "value=\"p-1\">", "value=\"p-2\">"]);
    let refused = house.form(PAGE, "plant=p-2").send().await;
    assert_eq!(refused.status, 422);
    assert_says(&refused, &["The cottage is &#60;not&#62; yours.", "value=\"p-1\">", "value=\"p-2\" checked>"]);
    assert_eq!(house.moves().await, Vec::<String>::new());

    let registered = house.form(PAGE, "plant=p-1&plant=p-3").send().await;
    assert_eq!(led_to(&registered), "/accounts/home?done=account_registered");
    assert_eq!(house.moves().await, [r#"register {"certificate":false,"plants":["p-1","p-3"]}"#]);
    let page = house.look(PAGE).await;
    assert_says(&page, &["value=\"p-1\" checked>", "value=\"p-2\">", "name=\"certificate\" value=\"true\""]);
    led_to(&house.form(PAGE, "plant=p-1&certificate=true").send().await);
    assert_eq!(house.moves().await[1], r#"register {"certificate":true,"plants":["p-1"]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_lists_no_homes_is_told_in_words() {
    let house = House::new().await;
    house.session().await;
    for (cloud, words) in [
        ("late", "The vendor takes too long to answer."),
        ("odd", "The vendor’s driver listed something that makes no sense."),
        ("away", "The cloud is &#60;away&#62;."),
        ("empty", "The vendor lists no home for this account."),
    ] {
        let settings = format!("_kind=utec&_name={cloud}&access_key=a&base_url=https://{cloud}.example");
        let added = house.form("/accounts/new", &settings).send().await;
        let account = led_to(&added).split('?').next().unwrap().to_owned();
        let page = house.while_time_passes(house.look(&format!("{account}/set-up"))).await;
        assert_eq!(page.status, 200, "{cloud}");
        assert_says(&page, &[words]);
        assert_eq!(page.text().contains("Try again"), cloud != "empty", "{cloud}");
        assert!(!page.text().contains(&format!("action=\"{account}/set-up")), "{cloud}: there is nothing to choose");
    }
    assert_eq!(house.look("/accounts/nobody/set-up").await.status, 404);
}
