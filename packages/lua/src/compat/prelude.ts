/**
 * The parts of the standard libraries that are shortest in Lua: packages, modules, `jit`. This
 * code runs once in each new state.
 */
export const prelude = String.raw`
local exists, loadpath, defaultpath = ...
local loaded, preload = debug.getregistry()._LOADED, {}

package = { loaded = loaded, preload = preload, path = defaultpath,
  cpath = "", config = "/\n;\n?\n!\n-\n" }
loaded.package = package

function package.searchpath(name, path, sep, rep)
  name = name:gsub((sep or "."):gsub("%W", "%%%0"), rep or "/")
  local tried = {}
  for template in path:gmatch("[^;]+") do
    local file = template:gsub("%?", (name:gsub("%%", "%%%%")))
    if exists(file) then return file end
    tried[#tried + 1] = "\n\tno file '" .. file .. "'"
  end
  return nil, table.concat(tried)
end

function package.loadlib(path)
  return nil, "C modules cannot be loaded: " .. tostring(path), "absent"
end

function package.seeall(module)
  local meta = getmetatable(module) or {}
  setmetatable(module, meta)
  meta.__index = _G
end

package.loaders = {
  function(name)
    return preload[name] or "\n\tno field package.preload['" .. name .. "']"
  end,
  function(name)
    if type(package.path) ~= "string" then error("'package.path' must be a string", 3) end
    local file, tried = package.searchpath(name, package.path)
    if not file then return tried end
    local chunk, message = loadpath(file)
    if chunk then return chunk end
    error("error loading module '" .. name .. "' from file '" .. file .. "':\n\t" .. message, 3)
  end,
}

local loading = newproxy()

function require(name)
  if type(name) ~= "string" and type(name) ~= "number" then
    error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 2)
  end
  name = tostring(name)
  local value = loaded[name]
  if value == loading then error("loop or previous error loading module '" .. name .. "'", 2) end
  if value then return value end
  local tried = {}
  local loader
  for i = 1, math.huge do
    local search = package.loaders[i]
    if not search then
      local extra = ""
      if name == "ffi" or name:find("^jit%.") or name == "string.buffer" then
        extra = "\n\t" .. name .. " is a part of LuaJIT that the script host does not have"
      end
      error("module '" .. name .. "' not found:" .. table.concat(tried) .. extra
        .. "\n\tmodules written in C cannot be loaded", 2)
    end
    loader = search(name)
    if type(loader) == "function" then break end
    if type(loader) == "string" then tried[#tried + 1] = loader end
  end
  loaded[name] = loading
  local result = loader(name)
  if result ~= nil then loaded[name] = result end
  if loaded[name] == loading then loaded[name] = true end
  return loaded[name]
end

local function find(name)
  local t = _G
  for part in name:gmatch("[^.]+") do
    local inner = rawget(t, part)
    if inner == nil then inner = {}; t[part] = inner end
    if type(inner) ~= "table" then error("name conflict for module '" .. name .. "'", 3) end
    t = inner
  end
  return t
end

function module(name, ...)
  local m = loaded[name]
  if type(m) ~= "table" then m = find(name); loaded[name] = m end
  if m._NAME == nil then
    m._M, m._NAME, m._PACKAGE = m, name, name:match("^(.*%.)[^.]*$") or ""
  end
  setfenv(2, m)
  for _, option in ipairs({...}) do option(m) end
end

-- There is no compiler to control: these functions do nothing, or report that it is off.
local function nothing() end
jit = { version = "LuaJIT 2.1.1737090214", version_num = 20199, os = "Linux", arch = "x64",
  on = nothing, off = nothing, flush = nothing, attach = nothing,
  status = function() return false end, prngstate = function() return 0 end,
  opt = { start = nothing } }
function jit.security(what)
  if what == "prng" or what == "strhash" or what == "strid" or what == "mcode" then return 1 end
  local got = type(what) == "string" and "invalid option '" .. what .. "'"
    or "string expected, got " .. (what == nil and "no value" or type(what))
  error("bad argument #1 to 'security' (" .. got .. ")", 2)
end
loaded.jit, loaded["jit.opt"] = jit, jit.opt
`;
