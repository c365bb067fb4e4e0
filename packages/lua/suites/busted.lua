-- Runs a specification that was written for busted; implements as much of busted as the suites use.
-- Prints `ok` or `not ok` for each `it`.
local file = arg[1]
local befores, afters, names = {}, {}, {}

local function deep(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for k, v in pairs(a) do if not deep(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

local checks = {}
function checks.equal(a, b) return a == b end
function checks.same(a, b) return deep(a, b) end
function checks.truthy(a) return a end
function checks.falsy(a) return not a end
checks["true"] = function(a) return a == true end
checks["false"] = function(a) return a == false end
checks["nil"] = function(a) return a == nil end
function checks.error(f, message)
  local ok, raised = pcall(f)
  if ok then return false end
  if message == nil then return true end
  return raised == message or (type(raised) == "string" and raised:gsub("^[^:]+:%d+: ", "") == message)
end
function checks.error_match(f, pattern)
  local ok, raised = pcall(f)
  return not ok and tostring(raised):find(pattern) ~= nil
end
function checks.matches(pattern, text) return tostring(text):find(pattern) ~= nil end
for _, kind in ipairs({ "table", "string", "number", "boolean", "function", "userdata" }) do
  checks[kind] = function(a) return type(a) == kind end
end
local alias = { equals = "equal", is_equal = "equal", errors = "error", has_error = "error",
  has_errors = "error", error_matches = "error_match", has_error_match = "error_match",
  match = "matches", is_truthy = "truthy", is_falsy = "falsy" }

local function node(negated)
  return setmetatable({}, {
    __index = function(_, name)
      if name == "is" or name == "are" or name == "has" or name == "was" then return node(negated) end
      if name == "Not" or name == "is_not" or name == "are_not" or name == "has_no" or name == "not"
        or name == "no" or name == "has_not" then return node(not negated) end
      local rest = name:match("^is_not_(.+)$") or name:match("^are_not_(.+)$")
        or name:match("^not_(.+)$") or name:match("^has_no_(.+)$")
      if rest then return node(not negated)[rest] end
      local plain = name:match("^is_(.+)$") or name:match("^are_(.+)$") or name
      local check = checks[alias[name] or alias[plain] or plain]
      if not check then error("assert." .. name .. " is not known here") end
      return function(...)
        if (not check(...)) ~= negated then error("assert." .. name .. " failed", 2) end
        return ...
      end
    end,
    __call = function(_, value, message, ...)
      if not value then error(message or "assertion failed!", 2) end
      return value, message, ...
    end,
  })
end

local env = setmetatable({}, { __index = _G })
env.assert = node(false)
local function run(list) for _, f in ipairs(list) do f() end end
function env.describe(name, f)
  local b, a = #befores, #afters
  names[#names + 1] = name
  f()
  names[#names] = nil
  for i = #befores, b + 1, -1 do befores[i] = nil end
  for i = #afters, a + 1, -1 do afters[i] = nil end
end
env.context = env.describe
function env.before_each(f) befores[#befores + 1] = f end
function env.after_each(f) afters[#afters + 1] = f end
function env.setup(f) f() end
function env.teardown() end
env.lazy_setup, env.lazy_teardown = env.setup, env.teardown
function env.pending() end
function env.it(name, f)
  local ok, message = pcall(function() run(befores) f() end)
  pcall(run, afters)
  print((ok and "ok - " or "not ok - ") .. table.concat(names, " ") .. " " .. name)
  if not ok then print("# " .. tostring(message):gsub("\n", "\n# ")) end
end
env._G = env
setfenv(assert(loadfile(file)), env)()
