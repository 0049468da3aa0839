-- reference.lua DIRECTORY -- the reference: a page of Markdown and one of HTML for each part,
-- an index that can be searched, and pictures of activations, losses and schedules.

local doc = require "mare.doc"
local mare = require "mare"
local pictures = require "spec.tools.pictures"

local out = arg[1] or "build/doc"
os.execute(("mkdir -p '%s/img'"):format(out))

local function write(name, text)
  local file = assert(io.open(out .. "/" .. name, "w"))
  file:write(text)
  file:close()
end

-- -- entries ----------------------------------------------------------------------------------

local function title(entry)
  local args = entry.args or ""
  if entry.part ~= "Tensor" then return entry.path .. args end
  return "x:" .. entry.name .. args:gsub("^%(%a%f[%W],?%s*", "("):gsub("^%(%[, ", "([")
end

local function page(part) return (part:gsub("^mare%.", ""):gsub("%.", "_")) end

-- The picture of an entry as the name of a file; drawn as text where gnuplot is missing.
local function picture(entry)
  local make = pictures.of(entry)
  if not make then return nil end
  local figure = make()
  local name = ("img/%s_%s.svg"):format(page(entry.part), entry.name)
  if figure:save(out .. "/" .. name, { width = 520, height = 360 }) then return name end
  return nil, figure:text { width = 76, color = false }
end

local function escape(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

-- Lines of a paragraph flow together, but for an example, what has a heading ("Formula:") and
-- the items of a list.
local function flow(body)
  return (body:gsub("\n%s+", "\n"):gsub("\n%* ", "<br>\n• ")
    :gsub("\n(<code>[^\n]*</code>)%f[\n\0]", "<br>%1<br>"):gsub("\n(%u%l+:)", "<br>%1")
    :gsub("\nElement by element", "<br>Element by element")
    :gsub("<br>\n?<br>", "<br>"):gsub("<br>$", ""))
end

-- Text of a comment as HTML: paragraphs, `code`, and ``` blocks.
local function html_text(text)
  local parts, at = {}, 1
  local function prose(part)
    for paragraph in (part .. "\n\n"):gmatch "(.-)\n%s*\n" do
      if paragraph:find "%S" then
        local body = escape(paragraph):gsub("`([^`]+)`", "<code>%1</code>")
        parts[#parts + 1] = paragraph:find "^%s%s+" and ("<pre>%s</pre>"):format(body)
          or ("<p>%s</p>"):format(flow(body))
      end
    end
  end
  for before, code, after in text:gmatch "(.-)```%l*\n(.-)```()" do
    prose(before)
    parts[#parts + 1] = "<pre>" .. escape(code) .. "</pre>"
    at = after
  end
  prose(text:sub(at))
  return table.concat(parts, "\n")
end

-- -- pages ---------------------------------------------------------------------------------------

local head = [[<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%s</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 16px/1.45 sans-serif; max-width: 54em; margin: 1em auto; padding: 0 1em; color: #222 }
a { color: #0b5394; text-decoration: none } a:hover { text-decoration: underline }
h3 { border-top: 1px solid #ddd; padding-top: .8em; margin-top: 1.6em } h3 code { font-size: 1.05em }
pre, code { font-family: monospace; background: #f4f4f2; padding: .1em .25em }
pre { padding: .6em; overflow-x: auto; line-height: 1.25 }
h3:target { background: #fff6cf }
nav { border-bottom: 1px solid #ddd; padding-bottom: .5em } nav a { margin-right: .8em }
nav form { display: inline } li { margin: .15em 0 } input { font-size: 1em; width: 12em }
img { max-width: 100%% }
</style></head><body>
<nav><form action="index.html"><input id="search" name="q" type="search" placeholder="search"
aria-label="search"></form> <a href="index.html">index</a>%s</nav>
<h1>%s</h1>
]]

-- The parts of the module, then the objects that functions return; all entries, by part.
local parts, by_part = doc.parts(), {}
for _, part in ipairs(parts) do by_part[part] = {} end

local function add(entry)
  if not by_part[entry.part] then
    by_part[entry.part] = {}
    parts[#parts + 1] = entry.part
  end
  table.insert(by_part[entry.part], entry)
end

for _, entry in ipairs(doc.index()) do add(entry) end
for _, entry in ipairs(doc.methods()) do add(entry) end

local function navigation()
  local links = {}
  for _, part in ipairs(parts) do
    links[#links + 1] = (' <a href="%s.html">%s</a>'):format(page(part), part)
  end
  return table.concat(links)
end

local function part_pages(part, entries)
  local md, html = { "# " .. part .. "\n" }, { head:format(part, navigation(), part) }
  for _, entry in ipairs(entries) do
    local image, drawn = picture(entry)
    local text = entry.text or ""
    md[#md + 1] = ("## `%s`\n\n%s\n"):format(title(entry), text)
    html[#html + 1] = ('<h3 id="%s"><code>%s</code></h3>\n%s'):format(entry.name,
      escape(title(entry)), html_text(text))
    if image then
      md[#md + 1] = ("![%s](%s)\n"):format(entry.name, image)
      html[#html + 1] = ('<p><img src="%s" alt="%s"></p>'):format(image, entry.name)
    elseif drawn then
      md[#md + 1] = "```\n" .. drawn .. "\n```\n"
      html[#html + 1] = "<pre>" .. escape(drawn) .. "</pre>"
    end
  end
  html[#html + 1] = "</body></html>\n"
  write(page(part) .. ".md", table.concat(md, "\n"))
  write(page(part) .. ".html", table.concat(html, "\n"))
end

-- Rows of the index that have all words stay, and the headings above them; the words may come
-- with the address (index.html?q=words), Enter goes to the first row.
local searching = [[
<p id="none" hidden>Nothing has these words.</p>
<script>
const box = document.getElementById("search");
function search() {
  const words = box.value.toLowerCase().split(/\s+/);
  let found = 0;
  for (const list of document.querySelectorAll("ul")) {
    let here = 0;
    for (const row of list.children) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      if (!row.hidden) here++;
    }
    list.hidden = list.previousElementSibling.hidden = here == 0;
    found += here;
  }
  document.getElementById("none").hidden = found > 0;
}
box.addEventListener("input", search);
box.form.addEventListener("submit", event => {
  const first = document.querySelector("li:not([hidden]) a");
  if (first) location.href = first.href;
  event.preventDefault();
});
box.value = new URLSearchParams(location.search).get("q") || "";
box.focus();
search();
</script>
]]

-- The first sentence: what stands before the formula.
local function first_words(entry)
  local text = ("\n" .. (entry.text or "")):gsub("\nFormula:.*", ""):gsub("^%s+", ""):gsub("\n", " ")
  text = text:match "^(.-[^%d.])%.%s" or text
  return #text > 100 and text:sub(1, 97):gsub("[\128-\255]*$", "") .. "..." or text
end

local function index_pages()
  local name = "Maré " .. mare.version
  local html = { head:format(name, navigation(), name) }
  local md = { "# " .. name .. "\n" }
  for _, part in ipairs(parts) do
    html[#html + 1] = ("<h2>%s</h2>\n<ul>"):format(part)
    md[#md + 1] = ("* [%s](%s.md)"):format(part, page(part))
    for _, entry in ipairs(by_part[part]) do
      html[#html + 1] = ('<li><a href="%s.html#%s">%s</a> %s</li>'):format(page(part), entry.name,
        escape(entry.path), escape(first_words(entry)))
    end
    html[#html + 1] = "</ul>"
  end
  html[#html + 1] = searching .. "</body></html>\n"
  write("index.html", table.concat(html, "\n"))
  write("index.md", table.concat(md, "\n") .. "\n")
end

for part, entries in pairs(by_part) do part_pages(part, entries) end
index_pages()
