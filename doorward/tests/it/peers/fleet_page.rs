//! A real Chromium goes through the pages that provision devices.

use super::{chromium::Browser, fleet::Scene};
use crate::{boot::killed::until, house::provider};
use doorward_sim::device::{Config, Firmware, Memory, Mounted, Standing};
use fantoccini::Locator;
use std::fs;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_provisions_a_device_and_a_list_and_sees_the_device_come() {
    provider();
    let scene = Scene::start();
    // Its other listeners tell of themselves before.
    until("the pages are served", async || scene.binary.log().contains(concat!("doorward ", env!("CARGO_PKG_VERSION"), " listens at ")))
        .await;
    let (page, browser) = (scene.binary.page(), Browser::start().await);
    browser.sign_in_first(scene.path()).await;

    // A mistake is told beside what was typed; then the device gets what it is to be given.
    browser.go(&format!("{page}/fleet")).await;
    browser.click("a[href='/fleet/provision']").await;
    browser.fill("id", "A1:B2").await;
    browser.fill("name", "Gate").await;
    browser.click("form[action='/fleet/provision'] button.primary").await;
    browser.says("p.note.bad", "six bytes").await;
    browser.fill("id", "a1:b2:c3:d4:e5:f6").await;
    browser.click("form[action='/fleet/provision'] button.primary").await;
    browser.says("h1", "A1B2C3D4E5F6").await;
    browser.says(".ways", "doorward device image --id A1B2C3D4E5F6").await;
    let serial = browser.find("#serial").await.prop("value").await.unwrap().unwrap();
    let told: Vec<&str> = serial.split(':').collect();
    assert_eq!((told[0], told[1], told[2].len()), ("PROVISION", "A1B2C3D4E5F6", 64));

    // It comes while the page is open.
    browser.click("a.button[href='/fleet/A1B2C3D4E5F6']").await;
    browser.says("h1", "Gate").await;
    browser.says("main", "never seen").await;
    let memory = Memory {
        wifi_ssid: "Home".into(),
        wifi_pass: "wifi-password".into(),
        mqtt_user: told[1].into(),
        mqtt_pass: told[2].into(),
        ..Memory::default()
    };
    let broker = format!("127.0.0.1:{}", scene.binary.mqtt_port()).parse().unwrap();
    let device = Mounted::start(Config { firmware: Firmware::B, broker, ..Config::default() }, memory);
    until("it is connected", async || device.standing() == Standing::Online).await;
    browser.says("main", "online").await;
    browser.says("main", "2.0.0").await;

    // A list, from a file.
    let list = scene.path().join("devices.csv");
    fs::write(&list, "id;name\nA1B2C3D4E5F7;Garage\nnot hex;x\nE8:06:90:9E:9A:B4;Cellar\n").unwrap();
    browser.go(&format!("{page}/fleet/provision")).await;
    browser.find("input[type='file']").await.send_keys(&list.display().to_string()).await.unwrap();
    let is_read = async || browser.find("#list").await.prop("value").await.unwrap().is_some_and(|text| text.contains("Garage"));
    until("the file is read", is_read).await;
    browser.click("form[action='/fleet/provision/list'] button").await;
    browser.says("h1", "2 devices are provisioned").await;
    browser.says(".lines", "line 3").await;
    let csv = browser.find("#csv").await.prop("value").await.unwrap().unwrap();
    assert!(csv.contains("A1B2C3D4E5F7,A1B2C3D4E5F7,") && csv.contains("E86909E9AB4,"), "{csv}");
    let link = browser.find("a[download='credentials.csv']").await.attr("href").await.unwrap().unwrap();
    assert!(link.starts_with("data:text/csv;base64,"), "{link}");
    browser.go(&format!("{page}/fleet")).await;
    assert_eq!(
        browser.client.find_all(Locator::Css("a[href^='/fleet/A1B2C3D4E5F'], a[href='/fleet/E86909E9AB4']")).await.unwrap().len(),
        3
    );
    let complaints = browser.complaints(&page).await;
    let unexpected: Vec<&String> = complaints.iter().filter(|message| !message.contains("status of 422")).collect();
    assert!(unexpected.is_empty(), "the browser complained: {unexpected:?}");
}
