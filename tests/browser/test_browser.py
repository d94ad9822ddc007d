"""The built pages in a real browser against the running system: what a trader sees and does.

Each test fails when the browser's console complains of anything that the test has not asked for.
"""

import re
import warnings

import pyotp
import pytest

from support.browser import ARGUMENTS, AXE, CHROMIUM, Complaints, System, log_in, missing
from support.web import PASSWORD, settings_in
from tickmux.feeds.feed_directory import Upstream
from tickmux.feeds.local_feed import LocalFeed
from tickmux.simulator import angel, zerodha
from tickmux.web.setup_code import setup_code

if reason := missing():
    warnings.warn(reason, stacklevel=1)  # the summary tells what was skipped only when it is asked to
    pytest.skip(reason, allow_module_level=True)

from playwright.sync_api import expect, sync_playwright

pytestmark = pytest.mark.timeout(90)

PATIENCE = 15_000
PAGES = [
    "/",
    "/watchlist",
    "/depth?symbol=SBIN&exchange=NSE",
    "/websocket/test",
    "/websocket/test/20",
    "/websocket/test/30",
    "/websocket/test/50",
    "/settings/broker",
    "/settings/broker/zerodha",
    "/settings/broker/angel",
    "/settings/keys",
    "/start",
    "/nowhere",
]
STARTERS = [("NSE_INDEX", "NIFTY"), ("NSE", "SBIN"), ("NSE", "NOPE")]
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, start):
    """A tab of a browser without a history; it is closed before the systems that the test has started."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="dark", reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.complaints = Complaints(page)
    yield page
    context.close()
    assert page.complaints.unexpected() == []


@pytest.fixture
def start(tmp_path):
    """Starts a system of its own; `home` tells several apart."""
    systems = []

    def started(home="home", **options):
        settings = {name: value for name, value in options.items() if name.isupper()}
        upstream = Upstream(**{name: value for name, value in options.items() if not name.isupper()})
        systems.append(System(tmp_path / home, upstream, **settings).start())
        return systems[-1]

    yield started
    for system in reversed(systems):
        system.stop()


@pytest.fixture(scope="module")
def zerodha_system(tmp_path_factory):
    """Zerodha's simulator; tests share it and change nothing."""
    system = System(tmp_path_factory.mktemp("home"), Upstream(simulate="zerodha")).start()
    yield system
    system.stop()


def watch(page, url, *instruments):
    """Opens the watchlist with these instruments on it."""
    listed = [{"exchange": exchange, "symbol": symbol} for exchange, symbol in instruments]
    page.goto(url)
    page.evaluate("list => localStorage.setItem('tickmux.watchlist.trader', JSON.stringify(list))", listed)
    page.goto(f"{url}/watchlist")


def row(page, symbol):
    return page.locator("tr", has=page.locator(f"button[data-key$=':{symbol}']"))


def price(page, symbol):
    return row(page, symbol).locator("td.ltp")


def expect_moving(price):
    """A price is shown, and then another one."""
    expect(price).to_have_text(re.compile(r"\d\.\d\d"))
    expect(price).not_to_have_text(price.inner_text())


def axe(page):
    """What axe finds, and finds again: of a page that prices change all the time it reads some colours of before a
    switch of the theme and others of after it. Through the debugger, since the pages' policy lets no script in."""
    page.evaluate(AXE.read_text())
    for _ in range(3):
        page.evaluate("Promise.allSettled(document.getAnimations().map(({ finished }) => finished)).then(() => null)")
        found = page.evaluate("axe.run().then(({ violations }) => violations)")
        if not found:
            break
    return [f"{one['id']}: {node['html'][:160]} {node['failureSummary']}" for one in found for node in one["nodes"]]


def show(page, theme):
    """Switches, and waits until the browser has painted: axe reads colours of both sides of a switch otherwise."""
    page.evaluate(
        """theme => new Promise(painted => {
            document.documentElement.dataset.theme = theme;
            requestAnimationFrame(() => requestAnimationFrame(() => painted(null)));
        })""",
        theme,
    )


def hide(page, hidden):
    """Headless Chromium hides no page, so it is told to be hidden as a browser would tell it."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


# -- first start -------------------------------------------------------------------------------------------


def test_first_start_an_account_the_simulator_a_starter_list_and_prices_that_move(page, start):
    system = start()
    page.goto(f"{system.url}/watchlist")
    expect(page).to_have_url(f"{system.url}/setup")
    expect(page.get_by_label("User name")).to_have_value("trader")
    page.get_by_label("Password", exact=True).fill("short")
    page.get_by_label("Password again").fill("short")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_text("At least 10 characters, please.")).to_be_visible()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Start the simulator").click()
    expect(page).to_have_url(f"{system.url}/watchlist")
    page.get_by_role("button", name="Add a starter list").click()
    for symbol in ("NIFTY", "RELIANCE"):
        expect_moving(price(page, symbol))
    expect(page.get_by_text("Live · zerodha")).to_be_visible()


def test_behind_a_proxy_the_first_user_is_made_with_the_setup_code_only(page, start, tmp_path):
    system = start()
    code = setup_code(settings_in(tmp_path / "home").tickmux_secret)
    page.set_extra_http_headers({"X-Forwarded-For": "203.0.113.9"})
    page.complaints.allow("status of 403")
    page.goto(f"{system.url}/setup")
    page.get_by_label("Setup code").fill("AAAA-BBBB-CCCC")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Code: the setup code is wrong.")).to_be_visible()
    assert axe(page) == []
    page.get_by_label("Setup code").fill(code.lower())
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Start the simulator")).to_be_visible()


def test_the_password_is_changed_on_its_page_and_the_new_one_logs_in(page, start):
    system = start(simulate="zerodha")
    log_in(page, system.url)
    page.goto(f"{system.url}/settings/password")
    page.complaints.allow("status of 40[13]")
    page.get_by_label("Present password").fill("not the password")
    page.get_by_label("New password", exact=True).fill("another correct horse")
    page.get_by_label("New password again").fill("another correct horse")
    page.keyboard.press("Enter")
    expect(page.get_by_text("the present password is wrong.")).to_be_visible()
    page.get_by_label("Present password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("The password is changed")).to_be_visible()
    assert axe(page) == []
    page.get_by_role("button", name="Log out trader").click()
    page.get_by_label("User name").fill("trader")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("User name or password is wrong.")).to_be_visible()
    page.get_by_label("Password").fill("another correct horse")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Log in")).not_to_be_visible()


def test_a_wrong_password_is_told_and_the_right_one_leads_where_one_wanted_to_go(page, start):
    system = start(simulate="zerodha")
    log_in(page, system.url)
    page.goto(system.url)
    page.get_by_role("button", name="Log out trader").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(f"{system.url}/settings/keys")
    page.complaints.allow("status of 401")
    page.get_by_label("User name").fill("trader")
    page.get_by_label("Password").fill("not the password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("User name or password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="API keys")).to_be_visible()
    assert system.clients == 0


def test_a_redirect_login_comes_back_and_its_feed_starts(page, start):
    kite = start("broker", simulate="zerodha")
    system = start(BROKER_URLS=kite.simulated_urls())
    kite.simulator.redirect_url = f"{system.url}/api/brokers/zerodha/callback"
    log_in(page, system.url)
    page.goto(f"{system.url}/settings/broker/zerodha")
    expect(page.get_by_text(kite.simulator.redirect_url)).to_be_visible()
    login = page.get_by_role("region", name="Log in")
    login.get_by_label("API key").fill(zerodha.API_KEY)
    login.get_by_label("API secret").fill(zerodha.API_SECRET)
    page.get_by_role("button", name="Continue at Zerodha").click()
    expect(page.get_by_text("Logged in to Zerodha")).to_be_visible()
    expect(page).to_have_url(f"{system.url}/settings/broker/zerodha")
    expect(page.get_by_text("Valid for")).to_be_visible()
    expect(page.get_by_role("region", name="Session")).to_contain_text(zerodha.USER_ID)
    expect(page.get_by_role("region", name="Instruments")).to_contain_text(re.compile(r"Instruments\d"))
    watch(page, system.url, ("NSE", "SBIN"))
    expect_moving(price(page, "SBIN"))


def test_a_login_with_a_one_time_password_is_refused_accepted_and_forgotten(page, start):
    broker = start("broker", simulate="angel")
    system = start(BROKER_URLS=broker.simulated_urls())
    log_in(page, system.url)
    page.goto(f"{system.url}/settings/broker/angel")
    page.complaints.allow("status of 400")
    login = page.get_by_role("region", name="Log in")
    login.get_by_label("API key").fill(angel.API_KEY)
    login.get_by_label("Client code").fill(angel.CLIENT_CODE)
    login.get_by_label("PIN").fill(angel.PIN)
    login.get_by_label("TOTP code").fill("000000")
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text(re.compile("totp", re.IGNORECASE))
    login.get_by_label("TOTP code").fill(pyotp.TOTP(angel.TOTP_SECRET).now())
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_text("Logged in to Angel One. Its feed starts by itself.")).to_be_visible()
    expect(login.get_by_label("PIN")).to_have_attribute("placeholder", "stored; leave empty to keep")
    page.get_by_role("button", name="Forget token and keys").click()
    expect(page.get_by_text("Not logged in")).to_be_visible()


def test_a_key_is_shown_once_renamed_and_revoked(page, start):
    system = start(simulate="zerodha")
    log_in(page, system.url)
    page.goto(f"{system.url}/settings/keys")
    page.get_by_role("button", name="New key").click()
    page.get_by_role("textbox", name="Name").fill("laptop")
    page.keyboard.press("Enter")
    secret = page.locator("code.secret")
    expect(secret).to_have_text(re.compile("^tmx_"))
    shown = secret.inner_text()
    assert axe(page) == []
    page.get_by_role("button", name="Done").click()
    expect(row_of_key(page, "laptop")).to_contain_text("never")
    assert shown not in page.content()
    page.get_by_role("button", name="Rename laptop").click()
    page.get_by_role("textbox", name="Name").fill("desktop")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Revoke desktop").click()
    page.get_by_role("button", name="Revoke", exact=True).click()
    expect(row_of_key(page, "desktop")).to_contain_text("Revoked")


def row_of_key(page, name):
    return page.locator("tr", has=page.get_by_text(name, exact=True))


# -- prices ------------------------------------------------------------------------------------------------


def test_searching_adding_and_removing_by_keyboard(page, zerodha_system):
    log_in(page, zerodha_system.url)
    watch(page, zerodha_system.url, ("NSE", "SBIN"))
    expect_moving(price(page, "SBIN"))
    page.keyboard.press("/")
    page.keyboard.type("infosys")
    expect(page.get_by_role("option").first).to_contain_text("INFY")
    page.keyboard.press("Enter")
    expect_moving(price(page, "INFY"))
    expect(row(page, "INFY").locator(".w-range")).to_contain_text(re.compile(r"\d\.\d\d"))
    expect(page.locator(".market-chart canvas").first).to_be_visible()
    page.locator("button[data-key='NSE:INFY']").press("Delete")
    expect(page.locator("button.pick")).to_have_count(1)


def test_what_the_broker_does_not_have_says_so_in_its_row(page, zerodha_system):
    log_in(page, zerodha_system.url)
    watch(page, zerodha_system.url, *STARTERS)
    expect(row(page, "NOPE").locator(".refusal")).to_contain_text("NOPE")
    expect_moving(price(page, "SBIN"))


def test_the_book_has_fifty_levels_where_the_broker_gives_them(page, start):
    system = start(simulate="fyers")
    log_in(page, system.url)
    page.goto(f"{system.url}/websocket/test/50")
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_role("button", name="Authenticate").click()
    expect(page.get_by_text("Authenticated · fyers")).to_be_visible()
    page.get_by_role("button", name="Subscribe", exact=True).click()
    expect(page.get_by_text("50 of 50 levels")).to_be_visible()
    expect(page.get_by_text("The broker gives 50 levels; 50 are in the book now.")).to_be_visible()
    levels = page.locator(".ladder-table tbody tr")
    expect(levels).to_have_count(50)
    for side, falls in ((3, True), (4, False)):
        shown = page.locator(f".ladder-table td:nth-child({side})").all_inner_texts()
        prices = [float(text.replace(",", "")) for text in shown]
        assert prices == sorted(set(prices), reverse=falls), "best first, each price once"
    expect(page.locator(".frame").filter(has_text='"market_data"').first).to_be_visible()
    page.goto(f"{system.url}/depth?symbol=SBIN&exchange=NSE")
    expect(levels).to_have_count(50)
    expect_moving(page.locator(".depth-price strong"))


def test_fewer_levels_than_were_asked_for_are_told(page, zerodha_system):
    log_in(page, zerodha_system.url)
    page.goto(f"{zerodha_system.url}/depth?symbol=SBIN&exchange=NSE")
    page.get_by_role("radio", name="50", exact=True).click()
    expect(page.get_by_text("The broker gives 5 levels of the 50 requested; 5 are in the book now.")).to_be_visible()
    expect(page.locator(".ladder-table tbody tr")).to_have_count(5)


def test_the_dashboard_counts_what_flows_and_calls_a_feed_without_demand_idle(page, start):
    system = start(simulate="zerodha")
    log_in(page, system.url)
    page.goto(system.url)
    expect(page.get_by_text("Nobody is connected.")).to_be_visible()
    other = page.context.new_page()
    watch(other, system.url, ("NSE", "SBIN"), ("NSE", "INFY"))
    expect_moving(price(other, "SBIN"))
    stat = page.locator(".stat")
    expect(stat.filter(has_text="Instruments").locator("dd").first).to_have_text("2")
    expect(stat.filter(has_text="Ticks in").locator("dd").first).to_have_text(re.compile(r"^[1-9]"))
    expect(stat.filter(has_text="Broker → client").locator("dd").first).to_have_text(re.compile(r"^\d+\.\d+ ms"))
    feed = page.get_by_role("region", name="Zerodha (Kite Connect) simulator")
    expect(feed).to_contain_text("Live")
    expect(feed).to_contain_text("2 of 3,000 symbols")
    expect(page.get_by_role("region", name="Clients, table")).to_contain_text("trader")
    other.close()
    expect(feed).to_contain_text("Idle")


# -- what goes wrong ---------------------------------------------------------------------------------------


def test_a_feed_that_dies_is_shown_its_prices_are_marked_and_it_is_shown_to_come_back(page, start):
    system = start(simulate="zerodha")
    log_in(page, system.url)
    watch(page, system.url, ("NSE", "SBIN"))
    expect_moving(price(page, "SBIN"))
    system.do(system.simulator.refuse_connections)
    system.do(system.simulator.disconnect_all)
    expect(page.locator(".banner")).to_contain_text("The broker's feed is reconnecting")
    expect(price(page, "SBIN")).to_have_class(re.compile("stale"))
    system.do(system.simulator.accept_connections)
    expect(page.locator(".banner")).to_have_count(0)
    expect(price(page, "SBIN")).not_to_have_class(re.compile("stale"))
    expect_moving(price(page, "SBIN"))


def test_an_expired_token_is_shown_with_the_way_to_a_new_one(page, start, monkeypatch):
    # A token that has worked is tried again for half an hour; here that is over at once.
    monkeypatch.setitem(LocalFeed.__init__.__kwdefaults__, "retry_waits", (0.1,))
    system = start(simulate="zerodha")
    log_in(page, system.url)
    watch(page, system.url, ("NSE", "SBIN"))
    expect_moving(price(page, "SBIN"))
    system.do(system.simulator.expire_token)
    banner = page.locator(".banner")
    expect(banner).to_contain_text("The broker login has expired")
    expect(banner.get_by_role("link", name="Log in to the broker")).to_have_attribute(
        "href", "/settings/broker/zerodha"
    )
    system.do(system.simulator.new_token)
    expect(banner).to_have_count(0)
    expect_moving(price(page, "SBIN"))


def test_a_restart_of_the_server_is_survived_with_all_subscriptions(page, start):
    system = start(simulate="zerodha")
    log_in(page, system.url)
    watch(page, system.url, ("NSE", "SBIN"), ("NSE_INDEX", "NIFTY"))
    expect_moving(price(page, "SBIN"))
    page.complaints.allow("ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|WebSocket connection to")
    system.stop()
    expect(page.locator(".banner")).to_contain_text("Reconnecting")
    expect(price(page, "SBIN")).to_have_class(re.compile("stale"))
    system.start()
    expect(page.locator(".banner")).to_have_count(0)
    for symbol in ("SBIN", "NIFTY"):
        expect(price(page, symbol)).not_to_have_class(re.compile("stale"))
        expect_moving(price(page, symbol))


def test_a_hidden_page_pauses_and_one_that_is_shown_again_goes_on(page, start):
    system = start(simulate="zerodha")
    log_in(page, system.url)
    watch(page, system.url, ("NSE", "SBIN"))
    expect_moving(price(page, "SBIN"))
    assert system.clients == 1
    hide(page, True)
    expect(page.locator(".topbar")).to_contain_text("Paused")
    expect(price(page, "SBIN")).to_have_class(re.compile("stale"))
    assert system.clients == 0
    hide(page, False)
    expect(page.get_by_text("Live · zerodha")).to_be_visible()
    expect_moving(price(page, "SBIN"))


def test_on_a_phone_nothing_leaves_the_screen_while_one_searches_or_the_feed_is_lost(page, start):
    system = start(simulate="zerodha")
    log_in(page, system.url)
    page.set_viewport_size({"width": 390, "height": 844})
    watch(page, system.url, ("NSE", "SBIN"))
    expect_moving(price(page, "SBIN"))

    def beyond():
        """What sticks out, except in boxes that scroll by themselves."""
        return page.evaluate(
            """() => [...document.querySelectorAll(".topbar *, .page-head *, .banner *")]
                .filter(one => one.getBoundingClientRect().right > innerWidth && one.checkVisibility())
                .map(one => one.outerHTML.slice(0, 120))"""
        )

    page.get_by_role("combobox").fill("nifty 25000")
    expect(page.get_by_role("option").first).to_be_visible()
    assert beyond() == []
    page.keyboard.press("Escape")
    system.do(system.simulator.refuse_connections)
    system.do(system.simulator.disconnect_all)
    expect(page.locator(".topbar")).to_contain_text("Reconnecting")
    assert beyond() == []
    expect(page.get_by_role("button", name="Log out trader")).to_be_in_viewport(ratio=1)


def test_a_login_leads_back_to_the_very_address_that_one_wanted(page, zerodha_system):
    log_in(page, zerodha_system.url)
    page.context.clear_cookies()
    page.goto(f"{zerodha_system.url}/depth?symbol=SBIN&exchange=NSE")
    page.get_by_label("User name").fill("trader")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{zerodha_system.url}/depth?symbol=SBIN&exchange=NSE")


# -- for everybody -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_a_page_passes_axe_in_both_themes_and_fits_a_phone(page, zerodha_system, path):
    log_in(page, zerodha_system.url)
    watch(page, zerodha_system.url, *STARTERS)
    page.goto(zerodha_system.url + path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".loading")).to_have_count(0)
    if path.startswith("/websocket"):
        page.get_by_role("button", name="Connect", exact=True).click()
        page.get_by_role("button", name="Authenticate").click()
        page.get_by_role("button", name="Subscribe", exact=True).click()
        expect(page.locator("td", has_text="SBIN").first).to_be_visible()
    elif path.startswith(("/watchlist", "/depth")):
        expect(page.get_by_text("Live · zerodha")).to_be_visible()
    for theme in ("dark", "light"):
        show(page, theme)
        assert axe(page) == [], theme
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("path", ["/setup", "/login"])
def test_the_pages_before_the_login_pass_axe_in_both_themes(page, start, path):
    system = start()
    if path == "/login":
        log_in(page, system.url)
        page.context.clear_cookies()
    page.goto(system.url + path)
    expect(page).to_have_url(system.url + path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for theme in ("dark", "light"):
        show(page, theme)
        assert axe(page) == [], theme
