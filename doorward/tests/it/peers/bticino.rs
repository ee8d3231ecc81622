//! A BTicino account in a real Chromium: signed in beside the page, registered, opened, rung, moved.

use super::chromium::Browser;
use crate::{binary::Binary, boot::killed::until, house::provider};
use doorward_sim::legrand::{Config, Fault, Faults, On, Sim};
use fantoccini::Locator;
use std::path::Path;

struct Scene {
    sim: Sim,
    binary: Binary,
    browser: Browser,
    page: String,
    _data: tempfile::TempDir,
}

impl Scene {
    /// A house with an account that nobody has signed in.
    async fn new() -> Self {
        provider();
        let sim = doorward_sim::legrand::start(Config::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let binary = Binary::start_with(data.path(), &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:0")]);
        let page = binary.page();
        let browser = Browser::start().await;
        browser.go(std::fs::read_to_string(data.path().join("first-start.txt")).unwrap().trim()).await;
        browser.fill("password", "correct horse battery").await;
        browser.click("form button.primary").await;
        browser.find("nav a[href='/doors'][aria-current]").await;
        browser.go(&format!("{page}/accounts/new?kind=bticino")).await;
        browser.fill("_name", "Gates").await;
        browser.fill("subscription_key", &Config::default().subscription_key).await;
        browser.click("#more-fields summary").await;
        browser.fill("login_url", &sim.base_url()).await;
        browser.fill("api_url", &sim.base_url()).await;
        browser.fill("sip_server", &sim.sip_addr().to_string()).await;
        browser.click("form.card button.primary").await;
        browser.says("#account-gates", "0 of 4 done").await;
        Self { sim, binary, browser, page, _data: data }
    }

    async fn go(&self, path: &str) {
        self.browser.go(&format!("{}{path}", self.page)).await;
    }

    /// Signs in on the vendor's page in a tab of its own, as the page suggests.
    async fn sign_in_here(&self) {
        let client = &self.browser.client;
        self.browser.click("#sign-in button[name='here']").await;
        let here = client.window().await.unwrap();
        self.browser.click("#sign-in a.button[target='_blank']").await;
        until("a tab opens", async || client.windows().await.unwrap().len() == 2).await;
        let beside = client.windows().await.unwrap().into_iter().find(|window| *window != here).unwrap();
        client.switch_to_window(beside).await.unwrap();
        let person = Config::default().people.remove(0);
        self.browser.fill("signInName", &person.email).await;
        self.browser.fill("password", &person.password).await;
        self.browser.click("button[value='allow'], form button").await;
        self.browser.says("body", "signed in").await;
        client.close_window().await.unwrap();
        client.switch_to_window(here).await.unwrap();
    }

    async fn tick(&self, plant: &str) {
        self.browser.click(&format!("input[name='plant'][value='{plant}']")).await;
    }

    async fn calm(&self) {
        let complaints = self.browser.complaints(&self.page).await;
        // A form that was not accepted is shown again with its status.
        let complaints: Vec<&String> = complaints.iter().filter(|complaint| !complaint.contains("422")).collect();
        assert!(complaints.is_empty(), "the browser complained: {complaints:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_beside_the_page_registers_and_opens_a_gate() {
    let scene = Scene::new().await;
    let browser = &scene.browser;
    scene.sign_in_here().await;
    // Nobody reloads it: the page has noticed.
    browser.says("main", "Choose what to open").await;
    browser.click("section.urgent a[href='/accounts/gates/set-up']").await;

    // The vendor fails in the middle; pressing again goes on from there.
    browser.says("#plants", "Driveway gate, Garden door").await;
    scene.tick("plant-2").await;
    scene.sim.set_faults(Faults { status: Some(Fault::with(503).on(On::ClientCerts)), ..Faults::default() });
    browser.click("#plants button.primary").await;
    browser.says("#plants .note.bad", "vendor").await;
    browser.says("#account-gates", "Needs you").await;
    scene.sim.set_faults(Faults::default());
    browser.click("#plants button.primary").await;
    browser.says("#flash", "Its gates are ready").await;
    browser.says("#account-gates", "all done").await;
    assert_eq!((scene.sim.counters().accounts_made, scene.sim.registered().len()), (1, 1), "the cottage was not wanted");

    // A gate without a contact: sent, accepted, and nobody saw it.
    scene.go("/doors").await;
    browser.click("#door-driveway_gate button[value='open']").await;
    browser.says("#door-driveway_gate", "Unconfirmed").await;
    assert_eq!(scene.sim.opener("20#2").commands_received, 1, "once");

    // The bell rings here, and the gate is opened from its page.
    let ring = scene.sim.ring("20").remove(0);
    browser.says("#banners", "Somebody rings at Driveway gate").await;
    browser.click("#banners a.button").await;
    browser.click(".ring form[action$='/ignore'] button").await;
    browser.says(".ring .state-word", "ignored the ring").await;
    until("the panel was told", async || scene.sim.ring_view(&ring).legs[0].statuses == [180, 486]).await;
    scene.calm().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_pastes_the_address_takes_files_along_and_is_refused_wrong_ones() {
    let scene = Scene::new().await;
    let browser = &scene.browser;
    browser.click("#sign-in button:not([name])").await;
    let vendor = browser.find("#sign-in a.button[target='_blank']").await.attr("href").await.unwrap().unwrap();
    browser.fill("pasted", "com.legrandgroup.diy://oauth2redirect?code=wrong&state=wrong").await;
    browser.click("form[action$='/sign-in/finish#sign-in'] button").await;
    browser.find("#sign-in .note.bad").await;
    let redirected = scene.sim.allow(&vendor).unwrap();
    browser.fill("pasted", &redirected).await;
    browser.click("form[action$='/sign-in/finish#sign-in'] button").await;
    browser.says("#flash", "Signed in").await;
    browser.says("#plants", "Cottage gate").await;
    browser.click("#plants button.primary").await;
    browser.says("#flash", "Its gates are ready").await;

    // The files go out once, with a record, and come back in.
    browser.click("#export summary").await;
    browser.click("form[action$='/export'] button").await;
    browser.find("a[download]").await;
    let links = browser.client.find_all(Locator::Css("a[download]")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for link in links {
        let name = link.attr("download").await.unwrap().unwrap();
        let data = link.attr("href").await.unwrap().unwrap();
        files.push(keep(folder.path(), &name, &data));
    }
    assert_eq!(files.len(), 5, "two gateways and one sign-in");
    files.retain(|file| !file.contains("/gw-5678-"));
    scene.go("/events").await;
    browser.says("#events", "exported the secrets of Gates").await;
    scene.go("/accounts/gates#import").await;
    let wrong = folder.path().join("wrong.json");
    std::fs::write(&wrong, "{}").unwrap();
    for (paths, place, words) in [(vec![wrong.display().to_string()], "#import .note.bad", "wrong.json"), (files, "#flash", "taken over")] {
        if !browser.find("input[name='files']").await.is_displayed().await.unwrap() {
            browser.click("#import summary").await;
        }
        browser.find("input[name='files']").await.send_keys(&paths.join("\n")).await.unwrap();
        browser.click("form[action$='/import#import'] button").await;
        browser.says(place, words).await;
    }
    assert_eq!(scene.sim.counters().accounts_made, 2, "nothing was registered anew");

    // The vendor changes its authority: a person compares, and takes it.
    scene.sim.set_faults(Faults { new_authority: true, ..Faults::default() });
    scene.sim.close_connections();
    browser.says("#account-gates", "The vendor names another one now").await;
    assert!(scene.sim.registered().is_empty(), "nobody speaks to it");
    browser.says("#banners", "Gates needs you").await;
    let link = browser.find(".stage a[href='/accounts/gates/set-up#authority']").await.attr("href").await.unwrap().unwrap();
    scene.go(&link).await;
    browser.click("#authority button").await;
    browser.says("#flash", "trusted from now on").await;
    until("it is connected", async || scene.sim.registered().len() == 2).await;

    // A home is deleted in the vendor's app: its gateway is forgotten here.
    scene.sim.delete_plant("plant-2", true);
    scene.go("/accounts/gates/set-up").await;
    browser.says("#used", "Not listed by the vendor").await;
    browser.click("#used form:has([value='gw-5678']) button").await;
    browser.says("form.confirm", "Registering takes the gateway up again").await;
    browser.click("form.confirm button").await;
    browser.says("#flash", "The gateway was forgotten").await;
    until("its connection is gone", async || scene.sim.registered().len() == 1).await;
    browser.says("#account-gates", "all done").await;
    assert!(!scene.binary.log().contains("sim-subscription-key"));
    scene.calm().await;
}

/// Keeps what a link holds; gives the path.
fn keep(folder: &Path, name: &str, data: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let content = STANDARD.decode(data.strip_prefix("data:application/json;base64,").unwrap()).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}
