"""The chat's markdown and the command line's grammar, run in the browser that people use them in."""

import pytest

from tests.page.visitor import Visitor

RENDER = """async (text) => {
  const { markdown } = await import('/js/markdown.js');
  const names = {
    member: (id) => (id === '1' ? 'dev' : undefined),
    role: (id) => (id === '2' ? { name: 'sre' } : undefined),
    channel: (id) => (id === '3' ? 'ops' : undefined),
    openChannel() {},
    openMessage() {},
  };
  const host = document.createElement('div');
  host.append(markdown(text, names));
  return host.innerHTML;
}"""
PARSE = """async (line) => {
  const { parse, runnables } = await import('/js/line.js');
  const option = (name) => ({ name, description: name, type: 3 });
  const commands = runnables([
    { name: 'deploy', description: '', options: ['service', 'environment', 'ref'].map(option) },
    { name: 'ops', description: '', options: [
      { name: 'list', description: '', type: 1 },
      { name: 'show', description: '', type: 1, options: [option('operation')] },
    ] },
  ]);
  const said = parse(commands, line);
  return said && [said.command.path, said.values];
}"""


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", '<div class="para">plain</div>'),
        ("**b** *i* _i_ __u__ ~~s~~", "<strong>b</strong> <em>i</em> <em>i</em> <u>u</u> <s>s</s>"),
        ("***both***", "<strong><em>both</em></strong>"),
        ("a `x * y` b", 'a <code class="code">x * y</code> b'),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        (r"\*not\* \_this\_", "*not* _this_"),
        ("### Small", '<div class="heading heading-3" role="heading" aria-level="5">Small</div>'),
        ("-# aside", '<small class="subtext">aside</small>'),
        ("> one\n> two", '<blockquote><div class="para">one\ntwo</div></blockquote>'),
        ("- a\n- b", '<ul class="list"><li class="">a</li><li class="">b</li></ul>'),
        ("```py\nx = '<b>'\n```", "<code>x = '&lt;b&gt;'</code>"),
        ("<@1> <@&2> <@9>", '<span class="mention">@dev</span> <span class="mention">@sre</span>'),
        ("<#3>", '<button class="mention" type="button">#ops</button>'),
        ("[here](https://example.com/a)", 'rel="noopener noreferrer nofollow" class="link">here</a>'),
        ("https://example.com/a.", 'class="link">https://example.com/a</a>.'),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("[x](data:text/html,1)", "[x](data:text/html,1)"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("<script>1</script>", "&lt;script&gt;1&lt;/script&gt;"),
        ("**unclosed", "**unclosed"),
    ],
)
async def test_markdown_becomes_nodes_and_foreign_markup_stays_text(reader: Visitor, text: str, html: str) -> None:
    assert html in await reader.page.evaluate(RENDER, text)


async def test_a_relative_timestamp_is_a_time_element_that_counts(reader: Visitor) -> None:
    html = await reader.page.evaluate(RENDER, "<t:1000000000:R> <t:99999999999999:R>")
    assert 'datetime="2001-09-09T01:46:40.000Z"' in html
    assert "years ago</time>" in html


@pytest.mark.parametrize("text", ["*" * 4000, "> " * 2000, "[" * 4000, "**a " * 1000, "_a" * 2000, "||" * 2000])
async def test_no_text_of_a_message_s_length_makes_the_page_stall(reader: Visitor, text: str) -> None:
    await reader.page.evaluate(f"async (text) => {{ await ({RENDER})(text); return true; }}", text)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/deploy app dev main", ["deploy", {"service": "app", "environment": "dev", "ref": "main"}]),
        ("/deploy service:app ref:main", ["deploy", {"service": "app", "ref": "main"}]),
        ("/deploy app ref:a b", ["deploy", {"service": "app", "ref": "a b"}]),
        ("/ops list", ["ops list", {}]),
        ("/ops show 12", ["ops show", {"operation": "12"}]),
        ("/nothing", None),
    ],
)
async def test_a_typed_line_is_understood_by_name_and_by_position(
    reader: Visitor, line: str, said: list[object] | None
) -> None:
    assert await reader.page.evaluate(PARSE, line) == said
