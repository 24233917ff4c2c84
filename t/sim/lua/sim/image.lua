-- The pictures: prepared ones, made unlike each other by a comment in which a
-- unique identifier stands; and the signed URLs under which they are served.
-- A picture is a function of its identifier, so nothing has to be kept.

local bit = require "bit"
local faults = require "sim.fault"
local reply = require "sim.reply"
local state = require "sim.state"

local _M = {}

local bases = {}
local types = { jpg = "image/jpeg", png = "image/png" }

_M.sizes = { tiny = true, small = true, medium = true, large = true }


-- the comment's length aligns what follows it to base64's three bytes

local function padded(text, used)
    return text .. string.rep(" ", (3 - (used + #text) % 3) % 3)
end


local function jpeg_comment(uid, before)
    local text = padded("phota-sim " .. uid, before + 4)
    local n = #text + 2

    return string.char(0xff, 0xfe, math.floor(n / 256), n % 256) .. text
end


local function be32(n)
    return string.char(bit.band(bit.rshift(n, 24), 255),
                       bit.band(bit.rshift(n, 16), 255),
                       bit.band(bit.rshift(n, 8), 255), bit.band(n, 255))
end


local function png_comment(uid, before)
    local text = padded("Comment\0phota-sim " .. uid, before + 12)

    return be32(#text) .. "tEXt" .. text .. be32(ngx.crc32_long("tEXt" .. text))
end


-- behind JFIF's APP0, which must be first, and behind PNG's IHDR

local function insertion(format, bytes)
    if format == "png" then
        return 33
    end

    if bytes:byte(4) == 0xe0 then
        return 4 + bytes:byte(5) * 256 + bytes:byte(6)
    end

    return 2
end


local function base(size, format)
    local name = size .. "." .. format
    local b = bases[name]

    if b then
        return b
    end

    local file = assert(io.open(state.settings().images .. "/" .. name, "rb"))
    local bytes = file:read("*a")
    file:close()

    local at = insertion(format, bytes)
    local head = at - at % 3

    b = {
        head = bytes:sub(1, head),
        middle = bytes:sub(head + 1, at),
        tail = bytes:sub(at + 1),
        comment = format == "png" and png_comment or jpeg_comment,
    }
    b.head64 = ngx.encode_base64(b.head)
    b.tail64 = ngx.encode_base64(b.tail)

    bases[name] = b

    return b
end


local function path_of(uid, size, format)
    return string.format("/phota_api/outputs/%s-%s.%s", uid, size, format)
end


-- a new one, unless the control path wants the same again and again

local function new_uid()
    return state.config().picture or state.unique()
end


-- appends the pieces of a picture's base64 to out, a new one's unless it has
-- an identifier; its path

function _M.base64(out, size, format, uid)
    uid = uid or new_uid()

    local b = base(size, format)
    local comment = b.comment(uid, #b.middle)
    local n = #out

    out[n + 1] = b.head64
    out[n + 2] = ngx.encode_base64(b.middle .. comment)
    out[n + 3] = b.tail64

    return path_of(uid, size, format)
end


local function sign(path, expires)
    local mac = ngx.hmac_sha1(state.settings().secret, path .. "?" .. expires)

    return (ngx.encode_base64(mac):gsub("[+/=]", { ["+"] = "-", ["/"] = "_",
                                                   ["="] = "" }))
end


-- a path, signed

function _M.link(path)
    local config = state.config()
    local expires = math.floor(ngx.time() + config.url_ttl)

    return string.format("%s%s?Expires=%d&KeyName=sim&Signature=%s",
                         config.url_base, path, expires, sign(path, expires))
end


-- of a new picture; and its path

function _M.url(size, format)
    local path = path_of(new_uid(), size, format)

    return _M.link(path), path
end


local function denied(code)
    return {
        status = 403,
        type = "application/xml",
        chunks = { "<?xml version='1.0' encoding='UTF-8'?><Error><Code>", code,
                   "</Code></Error>\n" },
    }
end


local function answer()
    local path = ngx.var.uri
    local expires = tonumber(ngx.var.arg_Expires)
    local uid, size, format = path:match("/([%x-]+)%-(%l+)%.(%l+)$")

    if not expires or ngx.var.arg_Signature ~= sign(path, expires)
       or not _M.sizes[size] or not types[format]
    then
        return denied("AccessDenied")
    end

    if ngx.time() >= expires then
        return denied("ExpiredToken")
    end

    local b = base(size, format)
    local comment = b.comment(uid, #b.middle)

    return { status = 200, type = types[format],
             chunks = { b.head, b.middle, comment, b.tail } }
end


-- without a key; of the faults those that say "picture" are for it

function _M.serve()
    local call = { id = "req_" .. ngx.var.request_id,
                   fault = faults.of_picture() }

    state.count("operation:picture")

    if call.fault.latency then
        reply.work(call)
    end

    return reply.send(call, answer())
end


function _M.portrait()
    local b = base("tiny", "jpg")

    return b.head .. b.middle .. b.comment("profile", #b.middle) .. b.tail
end


return _M
