-- What all workers share: the configuration that the control path may change,
-- the keys, counters, and identifiers that never come twice.

local cjson = require "cjson"

local _M = {}

local dict = ngx.shared.sim
local settings = {}
local config
local version = -1


local function defaults()
    return {
        latency = 0,
        size = "small",
        url_ttl = 86400,
        url_base = settings.url_base,
        keys = settings.keys,
        photio_keys = settings.photio_keys,
        secrets = {},
        rates = {
            remix = { base = 120000, identity = 150000 },
            enhance = { base = 120000, identity = 150000 },
            edit = { base = 100000, identity = 130000 },
            generate = { base = 100000, identity = 130000 },
            standard = { base = 2900000, identity = 2900000 },
            fast = { base = 1490000, identity = 1490000 },
            ["photio-remix"] = { base = 50000, identity = 50000 },
        },
        job_delay = 0,
        job_shape = "nested",
        job_words = {},
        job_names = {},
        job_error = "object",
        job_echo = true,
        job_subjects = true,
        job_result = "urls",
        job_pending = 200,
        poll_url = "absolute",
        callback_body = "job",
        callback_tries = 3,
        callback_pause = 200,
        callback_timeout = 5000,
        signature = { hash = "SHA256", encoding = "hex", over = "body",
                      form = "plain" },
        strict_profiles = false,
        profile_elements = "objects",
        training_delay = 0,
        training_end = "READY",
        training_refund = "none",
        photio_errors = "http",
        photio_format = "png",
        photio_prefix = false,
    }
end


local function read_settings()
    settings.keys = {}
    settings.photio_keys = {}

    for line in io.lines(ngx.config.prefix() .. "settings") do
        local name, value = line:match("^([^=]+)=(.*)$")
        local key = name:match("^key:(.+)$")
        local photio = name:match("^photio:(.+)$")

        if key then
            settings.keys[key] = value
        elseif photio then
            settings.photio_keys[photio] = value
        else
            settings[name] = value
        end
    end
end


function _M.start()
    cjson.decode_invalid_numbers(false)
    read_settings()

    if dict:add("started", true) then
        _M.change(defaults())
        require("sim.bill").load()
    end
end


function _M.start_worker()
    math.randomseed(tonumber(settings.boot, 16) + ngx.worker.id())
end


function _M.settings()
    return settings
end


function _M.change(new)
    dict:set("config", cjson.encode(new))
    dict:incr("version", 1, 0)
end


function _M.reset()
    _M.change(defaults())

    for _, name in ipairs(dict:get_keys(0)) do
        if name:find("^credit:") or name:find("^calls:")
           or name:find("^fault") or name:find("^job")
           or name:find("^profile") or name:find("^callback")
           or name == "last"
        then
            dict:delete(name)
        end
    end
end


function _M.config()
    local now = dict:get("version")

    if now ~= version then
        config = cjson.decode(dict:get("config"))
        config.names = {}

        config.photio_names = {}

        for name, value in pairs(config.keys) do
            config.names[value] = name
        end

        for name, value in pairs(config.photio_keys) do
            config.photio_names[value] = name
        end

        version = now
    end

    return config
end


function _M.count(name)
    return dict:incr("calls:" .. name, 1, 0)
end


function _M.enter()
    local n = dict:incr("in_flight", 1, 0)

    if n > (dict:get("calls:max_in_flight") or 0) then
        dict:set("calls:max_in_flight", n)
    end
end


function _M.leave()
    dict:incr("in_flight", -1)
end


function _M.unique()
    return string.format("%s-%012x", settings.boot, dict:incr("unique", 1, 0))
end


-- "12.5" or 12.5 to micro-USD, nil when it isn't an amount

function _M.micro(usd)
    local n = tonumber(usd)

    return n and n >= 0 and math.floor(n * 1e6 + 0.5) or nil
end


function _M.usd(micro)
    local sign = micro < 0 and "-" or ""

    micro = math.abs(micro)

    return string.format("%s%d.%06d", sign, math.floor(micro / 1e6),
                         micro % 1e6)
end


return _M
