"""Everything that a bot may put on the page: each kind of component pressed, each kind of field filled."""

import re

import pytest
from playwright.async_api import Locator, expect

from tests.page.visitor import Visitor
from tests.story.world_driver import World

pytestmark = pytest.mark.usefixtures("gallery")


LOADED = "() => [...document.querySelectorAll('.gallery-item img')].some((one) => one.naturalWidth === 48)"


async def run(guest: Visitor, command: str) -> None:
    """Run a command that needs no option, in #general."""
    await guest.pick_command(command)
    await guest.run_command(command)


async def answered(guest: Visitor, words: str) -> Locator:
    answer = guest.private_answers.filter(has_text=words).last
    await expect(answer).to_be_visible()
    return answer


async def test_every_kind_of_component_can_be_pressed(guest: Visitor) -> None:
    page = guest.page
    await guest.go("general")
    await run(guest, "everything")
    shown = page.locator(".message").filter(has=page.get_by_role("heading", name="Everything")).last
    await expect(shown.locator("time[data-relative]")).to_contain_text("years ago")
    for name in ("Beside", "Primary", "Secondary", "Success", "Danger"):
        await shown.get_by_role("button", name=name, exact=True).click()
        await answered(guest, f"Pressed {name}")
    await expect(shown.get_by_role("button", name="Off")).to_be_disabled()
    await shown.get_by_role("button", name="🔁").click()
    await answered(guest, "Pressed None")
    link = shown.get_by_role("link", name="Elsewhere")
    assert await link.get_attribute("rel") == "noopener noreferrer nofollow"
    for name in ("A red square", "Red, in a gallery", "Blue, in a gallery"):
        picture = shown.get_by_role("img", name=name)
        await picture.hover()  # it is loaded when it comes into view
        await expect(picture).to_have_js_property("naturalWidth", 48)
    await expect(shown.get_by_role("link", name="report.txt")).to_contain_text("12 bytes")


@pytest.mark.parametrize(
    ("select", "option", "said"),
    [
        ("Member", "dev2", "Member: dev2"),
        ("Role", "@sre", "Role: sre"),
        ("Anybody", "@owner", "Anybody: owner"),
        ("Channel", "#audit", "Channel: audit"),
    ],
)
async def test_every_kind_of_select_offers_what_there_is_of_its_kind(
    guest: Visitor, select: str, option: str, said: str
) -> None:
    page = guest.page
    await guest.go("general")
    await run(guest, "everything")
    shown = page.locator(".message").filter(has=page.get_by_role("heading", name="Everything")).last
    await shown.get_by_role("button", name=select, exact=True).click()
    await page.get_by_role("listbox", name=select).get_by_role("option", name=re.compile(rf"^{option}\b")).click()
    await answered(guest, said)


async def test_a_select_for_several_takes_no_more_than_it_allows(guest: Visitor) -> None:
    page = guest.page
    await guest.go("general")
    await run(guest, "everything")
    shown = page.locator(".message").filter(has=page.get_by_role("heading", name="Everything")).last
    await shown.get_by_role("button", name="Fruit", exact=True).click()
    options = page.get_by_role("listbox", name="Fruit")
    for name in ("Apple", "Plum", "Pear"):
        await options.get_by_role("option", name=re.compile(f"^(🟣)?{name}")).click()
    await page.get_by_role("button", name="Done").click()
    await answered(guest, "Fruit: apple, plum")


async def test_fields_for_words_and_choices_are_filled_and_the_required_ones_asked_for(guest: Visitor) -> None:
    page = guest.page
    await guest.go("general")
    await run(guest, "words")
    form = page.get_by_role("dialog", name="Words and choices")
    await expect(form.get_by_label("Short")).to_be_focused()
    await form.get_by_role("button", name="Submit").click()
    await expect(form.locator(".lacking")).to_have_count(4)
    await form.get_by_label("Short").fill("Ahoy")
    await form.get_by_label("Long").fill("first line\nsecond line")
    await form.get_by_role("button", name="Fruit").click()
    await form.get_by_role("option", name="Pear").click()
    await form.get_by_role("radio", name="Slow").check()
    await form.get_by_role("checkbox", name="Salt").check()
    await expect(form.get_by_role("checkbox", name="Oil")).to_be_disabled()
    await form.get_by_role("button", name="Submit").click()
    await expect(form).to_be_hidden()
    answer = await answered(guest, "Short=Ahoy")
    for part in ("Long=first line", "second line", "Fruit=pear", "Speed=slow", "Extras=salt,pepper"):
        await expect(answer).to_contain_text(part)


async def test_fields_for_people_places_and_files_are_filled(guest: Visitor) -> None:
    page = guest.page
    await guest.go("general")
    await run(guest, "things")
    form = page.get_by_role("dialog", name="People, places, files")
    await expect(form).to_contain_text("Everything here may be left empty")
    await form.get_by_role("button", name="Who").click()
    await form.get_by_role("option", name=re.compile("^sre2")).click()
    await form.get_by_role("button", name="Where").click()
    await form.get_by_role("option", name="#alerts", exact=True).click()
    paper = {"name": "paper.txt", "mimeType": "text/plain", "buffer": b"seen"}
    await form.get_by_label("Evidence").set_input_files([paper, {**paper, "name": "second.txt"}])
    await form.get_by_role("checkbox", name="I have read it").check()
    await form.get_by_role("button", name="Submit").click()
    await answered(guest, "Who=sre2 | Where=alerts | Evidence=paper.txt,second.txt | I have read it=True")


async def test_options_have_chips_choices_suggestions_as_one_types_and_say_what_is_required(guest: Visitor) -> None:
    page = guest.page
    await guest.go("general")
    await guest.become("dev")
    line = page.get_by_role("combobox", name="Command line")
    await line.fill("/hid")
    await expect(page.get_by_text("There is no command of that name.")).to_be_visible()
    await line.fill("/pic")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Run /pick").click()
    await expect(page.locator(".chip.lacking")).to_have_count(1)
    await page.get_by_role("option", name="Large").click()
    await page.keyboard.type("cal")
    await expect(page.locator(".suggest-item")).to_have_count(1)
    await page.get_by_role("option", name="Calypso").click()
    for option, typed in (("count", "7"), ("who", "sre2")):
        await page.get_by_role("button", name=f"Add {option}:").click()
        await page.keyboard.type(typed)
    await page.get_by_role("button", name="Add paper:").click()
    await page.get_by_label(re.compile("^paper:")).set_input_files(
        {"name": "chart.txt", "mimeType": "text/plain", "buffer": b"here be dragons"}
    )
    await guest.run_command("pick")
    await answered(guest, "Large | calypso | 7 | sre2 | chart.txt")


async def test_a_command_for_administrators_is_only_in_their_list(guest: Visitor, gallery: World) -> None:
    visible = {command["name"]: command["visible_to"] for command in (await gallery.state())["commands"]}
    assert "dev" not in visible["hidden"]
    page = guest.page
    for member in ("dev", *visible["hidden"][:1]):
        await guest.become(member)
        await page.get_by_role("combobox", name="Command line").fill("/hid")
        await expect(page.get_by_role("option", name="/hidden")).to_have_count(int(member in visible["hidden"]))


async def test_an_embed_an_edit_a_thread_and_typing_are_shown(guest: Visitor) -> None:
    page = guest.page
    await guest.become("dev")
    await guest.go("general")
    await run(guest, "classic")
    shown = page.locator(".message").filter(has_text="after the edit").last
    await expect(shown).to_contain_text("(edited)")
    await expect(shown.get_by_role("article")).to_contain_text("Wind")
    await run(guest, "thread")
    await page.get_by_role("button", name="Open thread").last.click()
    await expect(page.locator(".message").filter(has_text="The first word in the thread")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Below deck")
    await guest.go("general")
    await run(guest, "slow")
    await expect(page.locator("#typing")).to_contain_text("is typing")
    await expect(page.get_by_text("is thinking").last).to_be_visible()
    answer = await answered(guest, "Thought about it")
    await guest.become("dev2")
    await expect(guest.private_answers.filter(has_text="Thought about it")).to_have_count(0)
    await guest.become("dev")
    await answer.get_by_role("button", name="Dismiss message").click()
    await expect(guest.private_answers.filter(has_text="Thought about it")).to_have_count(0)


async def test_a_command_without_an_answer_is_said_to_have_had_none(guest: Visitor) -> None:
    await guest.go("general")
    await run(guest, "silent")
    await expect(guest.page.get_by_text("The application did not respond").last).to_be_visible()


async def test_the_page_comes_back_by_itself_after_a_restart_of_bot_and_sandbox(guest: Visitor, gallery: World) -> None:
    page = guest.page
    await guest.go("general")
    guest.forgiven = (
        "503 (Service Unavailable)",
        "Content Security Policy",
        "net::ERR_CONNECTION_REFUSED",
        "net::ERR_INCOMPLETE_CHUNKED_ENCODING",
        "net::ERR_CONNECTION_RESET",
    )
    port = gallery.url.rpartition(":")[2]
    await run(guest, "everything")
    await page.wait_for_function(LOADED)
    await gallery.stop()
    await expect(page.locator("#ready")).to_contain_text("World unreachable")
    await gallery.start("--bot-module", "tests.page.gallery_bot", "--port", port)
    await expect(page.locator("#ready")).to_have_text("")
    # Files have another address now; the page that was opened before may not load them until it has opened itself anew.
    await page.wait_for_function(LOADED)
    shown = page.locator(".message").filter(has_text="after the edit")
    before = await shown.count()
    await run(guest, "classic")
    await expect(shown).to_have_count(before + 1)
    await gallery.ask("dev2", "classic", "general")
    await expect(shown).to_have_count(before + 2)
