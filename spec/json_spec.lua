-- json_spec.lua -- JSON both ways.

local json = require "mare.json"

describe("json", function()
  it("writes and reads values back", function()
    for _, v in ipairs { 0, -7, math.maxinteger, 0.1, 1e300, -2.5e-7, 1 / 3, true, false, "", "a\"\\\n\1é",
      { 1, { 2, {} } }, { a = { b = "c" }, d = { 1.5 } } } do
      local back = json.decode(assert(json.encode(v)))
      assert.same(v, back)
      assert.equal(math.type(v), math.type(back))
    end
    assert.equal('{"a":[1,0.1,"x\\ny"],"b":null}', json.encode { b = json.null, a = { 1, 0.1, "x\ny" } })
  end)

  it("reads what others write", function()
    assert.same({ a = { 1, 2500.0, "xé😀/" }, b = { json.null, true } },
      json.decode ' {"a" :[1,2.5E+3, "x\\u00e9\\ud83d\\ude00\\/"],\r\n"b":[null,true] }\t')
    assert.equal(utf8.char(0x10FFFF), json.decode '"\\udbff\\udfff"')
    assert.equal("integer", math.type(json.decode "12"))
    assert.equal("float", math.type(json.decode "12.0"))
    assert.equal(-0.0, json.decode "-0.0")
  end)

  it("says where a text is none", function()
    for text, at in pairs { ["01"] = 1, ["1."] = 1, [".5"] = 1, ["1e"] = 1, ["+1"] = 1, ["0x10"] = 2,
      ['{"a":}'] = 6, ["[1,]"] = 4, ["[1 2]"] = 4, ['{"a" 1}'] = 6, ["{a:1}"] = 2, ['"\\ud800"'] = 2,
      ['"\\udc00"'] = 2, ['"\\x"'] = 2, ["nul"] = 1, ['"abc'] = 1, ['"\1"'] = 2, [""] = 1, ["[1]x"] = 4,
      ["inf"] = 1, ["nan"] = 1, [("["):rep(200)] = 102 } do
      local value, message = json.decode(text)
      assert.is_nil(value)
      assert.truthy(message:find(("at byte %d"):format(at), 1, true), text .. ": " .. message)
    end
  end)

  it("refuses values that have no text", function()
    local loop = {}
    loop[1] = loop
    for _, v in ipairs { 1 / 0, print, { [2] = 1, a = 2 }, { 1, a = 2 }, loop } do
      local text, message = json.encode(v)
      assert.is_nil(text)
      assert.equal("string", type(message))
    end
  end)
end)
