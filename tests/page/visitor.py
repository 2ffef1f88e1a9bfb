"""A person in front of the page: what they click, type and read, found by roles and names as a screen reader does."""

import re

from playwright.async_api import Locator, Page, expect

SHORT_ID = re.compile(r"#(\d+)\b")
RUN_MS = 240_000
"""So long a deploy may take in the browser tests."""


class Visitor:
    """One browser page, and the words for what is done on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.forgiven: tuple[str, ...] = ()
        """What the browser may complain of in this visit: a world that was taken away cannot be reached."""

    async def open(self) -> None:
        """Open the page and wait until the world's channels and commands are there."""
        await self.page.goto(self.url)
        await expect(self.page.get_by_role("heading", name="#ops", exact=True).first).to_be_visible()

    async def go(self, channel: str) -> None:
        """Open a channel or a thread by its name."""
        await self.page.get_by_role(
            "button", name=re.compile(rf"^(channel|thread) {re.escape(channel)}(?![\w-])")
        ).click()
        await expect(self.page.get_by_role("heading", level=1)).to_contain_text(channel)

    # -- the tour -----------------------------------------------------------------------------------------------------

    @property
    def tour(self) -> Locator:
        """The guided tour."""
        return self.page.get_by_role("region", name="Guided tour")

    async def begin_tour(self) -> None:
        """Let only what happens from now on count, whatever others did in this world before."""
        await expect(self.tour).to_contain_text("of 5 done")
        again = self.tour.get_by_role("button", name="Begin again")
        if await again.count():
            await again.click()
        await expect(self.tour).to_contain_text("0 of 5 done")

    def step(self, number: int, title: str, *, done: bool) -> Locator:
        """A step of the tour, ticked or not."""
        return self.tour.get_by_role("button", name=f"Step {number}: {title}{', done' if done else ''}", exact=True)

    # -- who and where ------------------------------------------------------------------------------------------------

    async def become(self, name: str) -> None:
        """Switch the acting member."""
        await self.page.get_by_role("button", name="Switch member").click()
        await self.page.get_by_role("option", name=re.compile(rf"^{name}\b(?!\d)")).click()
        await expect(self.page.get_by_role("button", name=f"You act as {name}.")).to_be_visible()

    # -- commands -----------------------------------------------------------------------------------------------------

    async def pick_command(self, path: str) -> None:
        """Open the list of commands by its button, and click one."""
        await self.page.get_by_role("button", name="Show the commands").click()
        await self.page.locator(".suggest-item", has=self.page.get_by_text(f"/{path}", exact=True)).click()

    async def pick_value(self, option: str, value: str) -> None:
        """Click a suggestion for an option, after adding the option when it is not yet on the line."""
        add = self.page.get_by_role("button", name=f"Add {option}:")
        if await add.count():
            await add.click()
        title = self.page.locator(".suggest-title", has_text=re.compile(rf"^{re.escape(value)}\b"))
        await self.page.locator(".suggest-item").filter(has=title).first.click()

    async def run_command(self, path: str) -> None:
        """Press the button that sends the command."""
        await self.page.get_by_role("button", name=f"Run /{path}").click()

    async def click_deploy(self, *, service: str, environment: str, ref: str) -> str:
        """Run `/deploy` with the mouse alone; returns the operation's short id, such as `#12`."""
        before = await self.private_answers.count()
        await self.pick_command("deploy")
        await self.pick_value("service", service)
        await self.pick_value("environment", environment)
        await self.pick_value("ref", ref)
        await self.run_command("deploy")
        return await self._operation_in(before)

    async def type_line(self, line: str) -> str:
        """Type a whole command key by key and send it with Enter; returns the operation's short id."""
        before = await self.private_answers.count()
        await self.page.get_by_role("combobox", name="Command line").click()
        await self.page.keyboard.type(line, delay=60)
        return await self.send(before)

    async def paste_line(self, line: str) -> str:
        """Paste a whole command and send it with Enter; returns the operation's short id."""
        before = await self.private_answers.count()
        await self.page.get_by_role("combobox", name="Command line").click()
        await self.page.keyboard.insert_text(line)
        return await self.send(before)

    async def paste_into_line(self, line: str) -> None:
        """Paste a whole command and send it with Enter, whatever becomes of it."""
        await self.page.get_by_role("combobox", name="Command line").click()
        await self.page.keyboard.insert_text(line)
        await self.page.keyboard.press("Enter")
        if await self.page.locator(".command-form").is_visible():
            await self.page.keyboard.press("Enter")

    async def send(self, answers_before: int) -> str:
        """Press Enter, once more if the first one only took a suggestion; returns the operation's short id."""
        await self.page.keyboard.press("Enter")
        if await self.page.locator(".command-form").is_visible():
            await self.page.keyboard.press("Enter")
        return await self._operation_in(answers_before)

    async def _operation_in(self, answers_before: int) -> str:
        answer = self.private_answers.nth(answers_before)
        await expect(answer).to_contain_text(SHORT_ID, timeout=RUN_MS)
        found = SHORT_ID.search(await answer.inner_text())
        assert found is not None
        return found.group(0)

    # -- messages -----------------------------------------------------------------------------------------------------

    @property
    def private_answers(self) -> Locator:
        """The messages that say that only this member sees them."""
        return self.page.get_by_role("listitem").filter(has_text="Only you can see this")

    def card(self, operation: str) -> Locator:
        """The operation's public card."""
        messages = self.page.locator(".message:not(.ephemeral)").filter(has=self.page.locator(".card"))
        return messages.filter(has_text=re.compile(rf"{re.escape(operation)}\b"))

    async def press(self, operation: str, label: str) -> None:
        """Press a button of the operation's card."""
        await self.card(operation).get_by_role("button", name=label, exact=True).click()
