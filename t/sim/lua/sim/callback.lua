-- Callbacks: a job's end told to the URL that its submit named, signed in the
-- way that the configuration says, tried again a few times, and noted with
-- what the receiver answered.

local cjson = require "cjson"
local digest = require "sim.digest"
local state = require "sim.state"

local _M = {}

local dict = ngx.shared.sim

local SHOWN = 16 * 1024


-- of an account; what callbacks are signed with, to the letter

function _M.secret(name)
    local set = state.config().secrets[name]

    if set then
        return set
    end

    local mac = digest.hmac("SHA256", state.settings().secret,
                            "webhook " .. name)

    return "whsec_" .. ngx.encode_base64(mac)
end


-- scheme, host, port, path; nil when callbacks don't go there

function _M.parse(url)
    local scheme, authority, path =
        url:match("^(https?)://([^/?#@%s]+)([^#%s]*)$")

    if not scheme then
        return nil
    end

    local host, port = authority:match("^(%[[%x:]+%]):?(%d*)$")

    if not host then
        host, port = authority:match("^([^:]+):?(%d*)$")
    end

    if not host then
        return nil
    end

    return {
        secure = scheme == "https",
        authority = authority,
        host = host,
        port = tonumber(port) or (scheme == "https" and 443 or 80),
        path = path:sub(1, 1) == "/" and path or "/" .. path,
    }
end


-- plain HTTP goes to this host alone

function _M.allowed(url)
    local to = _M.parse(url)

    return to and (to.secure or to.host == "localhost" or to.host == "[::1]"
                   or to.host:find("^127%.") ~= nil)
end


-- header lines

local function sign(name, body)
    local how = state.config().signature
    local time = tostring(ngx.time())
    local text = how.over == "timed" and time .. "." .. body or body
    local mac = digest.hmac(how.hash, _M.secret(name), text)
    local value = how.encoding == "base64" and ngx.encode_base64(mac)
                  or digest.hex(mac)

    if how.form == "none" then
        return ""

    elseif how.form == "prefix" then
        value = how.hash:lower() .. "=" .. value

    elseif how.form == "parts" then
        return "X-Phota-Signature: t=" .. time .. ",v1=" .. value .. "\r\n"
    end

    return "X-Phota-Signature: " .. value .. "\r\n"
           .. (how.over == "timed" and "X-Phota-Timestamp: " .. time .. "\r\n"
               or "")
end


local function connect(to)
    local socket = ngx.socket.tcp()
    local host = to.host == "localhost" and "127.0.0.1" or to.host

    socket:settimeouts(2000, 5000, state.config().callback_timeout)

    local ok, err = socket:connect(host, to.port)

    if ok and to.secure then
        ok, err = socket:sslhandshake(nil, to.host, false)
    end

    if not ok then
        return nil, err
    end

    return socket
end


-- status and headers of the answer; or nil and what went wrong

local function post(to, headers, body)
    local socket, err = connect(to)

    if not socket then
        return nil, err
    end

    local line

    line, err = socket:send("POST " .. to.path .. " HTTP/1.1\r\n"
                            .. "Host: " .. to.authority .. "\r\n"
                            .. "User-Agent: phota-sim\r\n"
                            .. "Connection: close\r\n"
                            .. "Content-Type: application/json\r\n"
                            .. "Content-Length: " .. #body .. "\r\n"
                            .. headers .. "\r\n" .. body)

    if line then
        line, err = socket:receive("*l")
    end

    socket:close()

    local status = line and line:match("^HTTP/1%.%d (%d%d%d)")

    return tonumber(status), err or not status and "no HTTP" or nil
end


local function note(c, attempt, headers, status, err)
    local n = dict:incr("callbacks", 1, 0)

    dict:set("callback:" .. n, cjson.encode({
        n = n, key = c.name, job_id = c.id, status = c.word, url = c.url,
        attempt = attempt, time = ngx.now(), answered = status, error = err,
        signature = headers:match("X%-Phota%-Signature: ([^\r]*)"),
        body = #c.body <= SHOWN and c.body or nil,
    }))
end


local function deliver(premature, c)
    if premature then
        return
    end

    local config = state.config()
    local to = _M.parse(c.url)

    for attempt = 1, config.callback_tries do
        local headers = sign(c.name, c.body)
        local status, err = post(to, headers, c.body)

        note(c, attempt, headers, status, err)

        if status and status >= 200 and status < 300 then
            break
        end

        if attempt < config.callback_tries then
            ngx.sleep(config.callback_pause / 1000)
        end
    end

    dict:incr("callbacks_waiting", -1)
end


-- c: name (of the account), id, word, url, body; in so many seconds

function _M.send(c, seconds)
    dict:incr("callbacks_waiting", 1, 0)

    local ok, err = ngx.timer.at(math.max(seconds, 0), deliver, c)

    if not ok then
        dict:incr("callbacks_waiting", -1)
        ngx.log(ngx.ALERT, "no timer for a callback: ", err)
    end
end


-- what was sent, in order

function _M.list()
    local out = {}

    for n = 1, dict:get("callbacks") or 0 do
        out[#out + 1] = dict:get("callback:" .. n)
    end

    return "[" .. table.concat(out, ",\n") .. "]\n"
end


return _M
