//! The pages of the fleet.

use crate::{pages::led_to, support::House};

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_found_by_what_they_are_called_and_how_they_stand() {
    let house = House::new().await;
    house.session().await;
    for (id, name) in [("A1B2C3", "Gate%20north"), ("A1B2C4", "")] {
        let made = house.form("/fleet/provision", &format!("id={id}&name={name}")).send().await;
        assert_eq!(made.status, 200);
        let text = made.text();
        assert!(text.contains(&format!("BLE-Gateway-{id}")) && text.contains(&format!("PROVISION:{id}:")), "{text}");
    }
    let all = house.look("/fleet").await.text().to_owned();
    assert!(
        all.contains("Gate north") && all.contains("Garage") && all.contains("A1B2C4") && all.contains("<strong>3</strong> Never seen")
    );
    let found = house.look("/fleet?q=gate").await.text().to_owned();
    assert!(found.contains("Gate north") && !found.contains("A1B2C4"), "{found}");
    assert!(house.look("/fleet?state=online").await.text().contains("No device is like that."));
    assert!(house.look("/fleet?q=%3Cscript%3E").await.text().contains("&#60;script&#62;"), "what is looked for is not believed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_provisioned_and_its_wrong_rows_are_named() {
    let house = House::new().await;
    house.session().await;
    let list = "id%3Bname%0AA1B2C3%3BGate%0Anot%20hex%3Bx%0AA1B2C3%3Btwice%0AE8%3A06%3A90%3A9E%3A9A%3AB4%3BCellar";
    let made = house.form("/fleet/provision/list", &format!("list={list}")).send().await;
    let text = made.text();
    assert!(text.contains("2 devices are provisioned") && text.contains("2 rows failed"), "{text}");
    assert!(text.contains("Line 3: ") && text.contains("Line 4: the same device stands in line 2"), "{text}");
    assert!(text.contains("device_id,mqtt_user,mqtt_password") && text.contains("E86909E9AB4,"), "{text}");
    for (list, wrong) in [("", "The list is empty"), ("id%2Cname%0A%22open", "a quote is opened")] {
        let refused = house.form("/fleet/provision/list", &format!("list={list}")).send().await;
        assert_eq!(refused.status, 422);
        assert!(refused.text().contains(wrong), "{}", refused.text());
    }
    let refused = house.form("/fleet/provision", "id=xyz&name=Gate").send().await;
    assert!(
        refused.status == 422 && refused.text().contains("value=\"xyz\"") && refused.text().contains("6 to 12 digits"),
        "nothing typed is lost"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_named_claimed_renewed_and_revoked_on_its_page() {
    let house = House::new().await;
    house.session().await;
    let page = "/fleet/A1B2C3D4E5F6";
    let saved = house.form(page, "name=Shed&hardware=other-board").send().await;
    assert_eq!(led_to(&saved), format!("{page}?done=saved"));
    let text = house.look(page).await.text().to_owned();
    assert!(text.contains(">Shed</h1>") && text.contains("other-board") && text.contains("changed device A1B2C3D4E5F6"), "{text}");
    let wrong = house.form(page, "name=Shed&hardware=a%20b").send().await;
    assert!(wrong.status == 422 && wrong.text().contains("value=\"a b\""), "{}", wrong.text());

    assert_eq!(led_to(&house.form(&format!("{page}/claim"), "").send().await), page);
    assert!(house.look(page).await.text().contains("It may fetch its credentials itself until"));
    house.form(&format!("{page}/claim"), "").send().await;
    assert!(!house.look(page).await.text().contains("It may fetch its credentials itself until"));
    let away = house.form(&format!("{page}/restart"), "").send().await.text().to_owned();
    assert!(away.contains("The MQTT broker cannot be reached"), "there is none in this house: {away}");

    assert!(house.look(&format!("{page}/revoke")).await.text().contains("Revoke Shed?"));
    assert_eq!(led_to(&house.form(&format!("{page}/revoke"), "").send().await), page);
    let revoked = house.look(page).await.text().to_owned();
    assert!(revoked.contains("It has no rights") && !revoked.contains("/restart"), "{revoked}");
    let again = house.form(&format!("{page}/rotate"), "").send().await.text().to_owned();
    assert!(again.contains("BLE-Gateway-A1B2C3D4E5F6"), "{again}");
    assert!(!house.look(page).await.text().contains("It has no rights"));
    assert_eq!(house.look("/fleet/FFFFFF").await.status, 404);
    let forged = house.ask("POST", format!("{page}/revoke")).header("Cookie", "doorward=the-session");
    let forged = forged.text("application/x-www-form-urlencoded", "csrf=wrong").send().await;
    assert_eq!(forged.status, 403);
}

/// A form with a file, as a browser sends it.
async fn upload(house: &House, fields: &[(&str, &str)], image: Option<&[u8]>) -> crate::support::Answer {
    let mut body = Vec::new();
    let mut part = |head: String, bytes: &[u8]| {
        body.extend_from_slice(format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    };
    for (name, value) in fields {
        part(format!("name=\"{name}\""), value.as_bytes());
    }
    if let Some(image) = image {
        part("name=\"image\"; filename=\"gateway.bin\"".into(), image);
    }
    body.extend_from_slice(b"--b--\r\n");
    house.ask("POST", "/fleet/firmware").header("Cookie", "doorward=the-session").text("multipart/form-data; boundary=b", body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn firmware_is_uploaded_and_rolled_out_on_its_pages() {
    let house = House::new().await;
    house.session().await;
    let csrf = ("csrf", "the-csrf-token");
    let image = vec![0xE9; 300_000];
    for (fields, image, wrong) in [
        (vec![csrf], None, "Choose an image."),
        (vec![csrf, ("version", "2.1.0")], Some(&b"\x7fELF"[..]), "does not begin with 0xE9"),
        (vec![csrf, ("version", "2 1")], Some(&image[..]), "letters, digits"),
        (vec![csrf], Some(&image[..]), "does not say its version"),
    ] {
        let refused = upload(&house, &fields, image).await;
        assert!(refused.status == 422 && refused.text().contains(wrong), "{wrong}: {}", refused.text());
    }
    assert_eq!(upload(&house, &[("version", "2.1.0")], Some(&image)).await.status, 403, "a form of another site");
    let kept = [csrf, ("version", "2.1.0"), ("channel", "beta"), ("notes", "Sleeps better"), ("hardware", "")];
    assert_eq!(led_to(&upload(&house, &kept, Some(&image)).await), "/fleet/firmware?done=firmware_added");
    let text = house.look("/fleet/firmware").await.text().to_owned();
    assert!(
        text.contains("<strong>2.1.0</strong>") && text.contains("Beta") && text.contains("Sleeps better") && text.contains("292 KiB"),
        "{text}"
    );
    assert!(house.look("/fleet/firmware/key").await.text().starts_with("-----BEGIN PUBLIC KEY-----"));
    let page = "/fleet/firmware/xiao-esp32s3/2.1.0";
    assert_eq!(led_to(&house.form(page, "channel=stable").send().await), "/fleet/firmware?done=saved");

    let wrong = house.form("/fleet/rollouts", "version=2.1.0&groups=5%2C50&success=90&errors=10&from=&until=").send().await;
    assert!(wrong.status == 422 && wrong.text().contains("grow up to 100") && wrong.text().contains("value=\"5,50\""), "{}", wrong.text());
    let made = house.form("/fleet/rollouts", "version=2.1.0&groups=50%2C100&success=90&errors=10&from=02%3A00&until=05%3A00").send().await;
    let rollout = led_to(&made).to_owned();
    let text = house.look(&rollout).await.text().to_owned();
    assert!(text.contains("Rollout of 2.1.0") && text.contains("only 02:00 to 05:00") && text.contains("A1B2C3D4E5F6"), "{text}");
    assert!(text.contains("1 away") && text.contains("<rect class=\"calm\" x=\"0.00\""), "{text}");
    assert_eq!(led_to(&house.form(&format!("{rollout}/approve"), "").send().await), rollout);
    assert!(house.look(&rollout).await.text().contains("Approved"));
    assert!(house.form(&format!("{rollout}/resume"), "").send().await.text().contains("cannot be done"), "it is not paused");
    assert_eq!(led_to(&house.form(&format!("{rollout}/stop"), "").send().await), rollout);
    assert!(house.look("/fleet/rollouts").await.text().contains("Stopped"));

    assert!(house.look(page).await.text().contains("Remove 2.1.0?"));
    assert_eq!(led_to(&house.form(page, "remove=yes").send().await), "/fleet/firmware?done=firmware_removed");
    assert_eq!(house.look(page).await.status, 404);
    assert_eq!(house.look("/fleet/rollouts/nobody").await.status, 404);
}
