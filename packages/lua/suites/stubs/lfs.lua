-- As much of LuaFileSystem as the suites use, made of shell commands.
local lfs = {}

local function quoted(path) return "'" .. path:gsub("'", "'\\''") .. "'" end

local function output(command)
  local pipe = io.popen(command .. " 2>/dev/null")
  local text = pipe:read("*a")
  pipe:close()
  return text
end

local modes = { ["regular file"] = "file", ["regular empty file"] = "file", ["symbolic link"] = "link" }

local function attributes(path, wanted, options)
  local text = output("stat " .. options .. " -c '%F|%s|%Y|%X|%Z' -- " .. quoted(path))
  local kind, size, modified, accessed, changed = text:match("^(.-)|(%d+)|(%d+)|(%d+)|(%d+)")
  if not kind then return nil, "cannot obtain information from file '" .. path .. "'" end
  local all = { mode = modes[kind] or kind, size = tonumber(size), modification = tonumber(modified),
    access = tonumber(accessed), change = tonumber(changed) }
  if type(wanted) == "string" then return all[wanted] end
  return all
end

function lfs.attributes(path, wanted) return attributes(path, wanted, "-L") end
function lfs.symlinkattributes(path, wanted) return attributes(path, wanted, "") end
function lfs.currentdir() return (output("pwd"):gsub("\n$", "")) end
function lfs.mkdir(path) return os.execute("mkdir " .. quoted(path) .. " 2>/dev/null") == 0 or nil end
function lfs.rmdir(path) return os.execute("rmdir " .. quoted(path) .. " 2>/dev/null") == 0 or nil end
function lfs.chdir() return nil, "not here" end
function lfs.dir(path)
  local names = output("ls -a -- " .. quoted(path))
  return names:gmatch("[^\n]+")
end

return lfs
