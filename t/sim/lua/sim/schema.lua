-- What an image call may say, as data, and the verdict over a body: the 422
-- that FastAPI would give, Phota's own 400, or the request as it is meant.

local cjson = require "cjson"
local callback = require "sim.callback"

local _M = {}

local MODELS = { ["nb2"] = { ["1K"] = true, ["2K"] = true, ["4K"] = true },
                 ["gpt-image-2"] = { ["1K"] = true, ["2K"] = true,
                                     ["4K"] = true },
                 ["qwen-image-2"] = { ["1K"] = true, ["2K"] = true },
                 ["flux-2"] = { ["1K"] = true, ["2K"] = true },
                 ["reve"] = { ["1K"] = true } }

local LONG = 64 * 1024

_M.models = MODELS


local function set(...)
    local s = { names = { ... } }

    for _, name in ipairs(s.names) do
        s[name] = true
    end

    return s
end


local common = {
    { "prompt", "string" },
    { "num_output_images", "count" },
    { "output_format", "choice", set("png", "jpg") },
    { "response_mode", "choice", set("bytes", "urls") },
    { "async", "boolean" },
    { "callback_url", "string" },
    { "client_request_id", "string" },
}

local studio = {
    { "aspect_ratio", "choice",
      set("auto", "1:1", "3:4", "4:3", "9:16", "16:9") },
    { "resolution", "choice", set("1K", "2K", "4K") },
    { "base_model", "choice",
      set("nb2", "gpt-image-2", "qwen-image-2", "flux-2", "reve") },
    { "quality", "choice", set("auto", "low", "medium", "high") },
}


local function fields(...)
    local all = {}

    for _, list in ipairs({ ... }) do
        for _, field in ipairs(list) do
            all[#all + 1] = field
        end
    end

    return all
end


local operations = {
    remix = fields({ { "input_image", "image", required = true },
                     { "reference_image", "image", required = true },
                     { "profile_ids", "strings" } }, common),
    enhance = fields({ { "image", "image", required = true },
                       { "profile_ids", "strings" } }, common),
    edit = fields({ { "images", "images" },
                    { "profile_ids", "strings" } }, common, studio),
    generate = fields(common, studio),
    training = { { "image_urls", "urls", required = true },
                 { "training_tier", "choice", set("standard", "fast") },
                 { "tag", "tag" } },
    ["photio-remix"] = { { "prompt", "string", required = true },
                         { "product_image", "image", required = true },
                         { "ref_image", "image", required = true },
                         { "negative_prompt", "string" },
                         { "seed", "seed" },
                         { "cfg_scale", "number" },
                         { "outline_fidelity", "number" },
                         { "style_fidelity", "number" } },
}


-- checks return what pydantic says: its type and message

local checks = {}


function checks.string(value)
    if type(value) ~= "string" then
        return "string_type", "Input should be a valid string"
    end
end


function checks.boolean(value)
    if type(value) ~= "boolean" then
        return "bool_type", "Input should be a valid boolean"
    end
end


function checks.count(value)
    if type(value) ~= "number" or value % 1 ~= 0 then
        return "int_type", "Input should be a valid integer"
    end

    if value < 1 then
        return "greater_than_equal",
               "Input should be greater than or equal to 1"
    end

    if value > 4 then
        return "less_than_equal", "Input should be less than or equal to 4"
    end
end


function checks.choice(value, names)
    if type(value) ~= "string" or not names[value] then
        return "literal_error",
               "Input should be '" .. table.concat(names.names, "' or '") .. "'"
    end
end


function checks.strings(value)
    if type(value) ~= "table" or (next(value) ~= nil and #value == 0) then
        return "list_type", "Input should be a valid list"
    end

    for i, item in ipairs(value) do
        if type(item) ~= "string" then
            return "string_type", "Input should be a valid string", i - 1
        end
    end
end


function checks.images(value)
    local kind, msg, at = checks.strings(value)

    if not kind and #value > 10 then
        return "too_long", "List should have at most 10 items after "
                           .. "validation, not " .. #value
    end

    return kind, msg, at
end


function checks.urls(value)
    local kind, msg, at = checks.strings(value)

    if not kind and (#value < 5 or #value > 50) then
        return "too_short", "List should have 5 to 50 items after validation"
    end

    return kind, msg, at
end


-- 1 to 128 characters of UTF-8

function _M.is_tag(value)
    local _, n = value:gsub("[^\128-\191]", "")

    return n >= 1 and n <= 128
end


function checks.tag(value)
    if type(value) ~= "string" or not _M.is_tag(value) then
        return "string_type", "Input should be a string of 1 to 128 characters"
    end
end


function checks.number(value)
    if type(value) ~= "number" then
        return "float_type", "Input should be a valid number"
    end
end


function checks.seed(value)
    if type(value) ~= "number" or value % 1 ~= 0 then
        return "int_type", "Input should be a valid integer"
    end

    if value ~= -1 and (value < 1 or value > 4294967296) then
        return "value_error", "Input should be -1, or 1 to 4294967296"
    end
end


checks.image = checks.string


local function complaint(kind, msg, ...)
    return { type = kind, msg = msg, loc = { "body", ... } }
end


-- the quote that ends the string which begins at from

local function string_end(text, from)
    local at = from

    repeat
        at = text:find("\"", at + 1, true)

        local slashes = at and text:sub(math.max(from, at - 64), at - 1)
                               :match("\\*$")
    until not at or #slashes % 2 == 0

    return at
end


local function is_plain(s)
    return not (s:find("\\", 1, true) or s:find("\n", 1, true)
                or s:find("\r", 1, true) or s:find("\t", 1, true))
end


-- cjson goes byte by byte, so it gets a name in the place of a long string

local function lift(text)
    local parts, lifted, from, at = {}, {}, 1, text:find("\"", 1, true)

    while at do
        local stop = string_end(text, at)

        if not stop then
            break
        end

        if stop - at > LONG then
            local s = text:sub(at + 1, stop - 1)

            if is_plain(s) then
                lifted[#lifted + 1] = s
                parts[#parts + 1] = text:sub(from, at)
                parts[#parts + 1] = "\\u0001lifted:" .. #lifted
                from = stop
            end
        end

        at = text:find("\"", stop + 1, true)
    end

    parts[#parts + 1] = text:sub(from)

    return table.concat(parts), lifted
end


local function put_back(value, lifted)
    for name, item in pairs(value) do
        if type(item) == "table" then
            put_back(item, lifted)

        elseif type(item) == "string" then
            local n = item:match("^\1lifted:(%d+)$")

            value[name] = n and lifted[tonumber(n)] or item
        end
    end
end


-- JSON knows two empty tables, cjson's decoder one: the text tells

local function decode(text)
    if not text or text == "" then
        return nil, complaint("missing", "Field required")
    end

    local lifted

    if #text > LONG then
        text, lifted = lift(text)
    end

    local ok, body = pcall(cjson.decode, text)

    if not ok then
        return nil, complaint("json_invalid", "JSON decode error",
                              tonumber(body:match("character (%d+)")) or 0)
    end

    if type(body) ~= "table" or not text:find("^%s*{") then
        return nil, complaint("model_attributes_type", "Input should be a "
                              .. "valid dictionary or object to extract "
                              .. "fields from")
    end

    if lifted and #lifted > 0 then
        put_back(body, lifted)
    end

    return body
end


local function check(body, operation)
    local bad = {}

    for _, field in ipairs(operations[operation]) do
        local name = field[1]
        local value = body[name]

        if value == nil and field.required then
            bad[#bad + 1] = complaint("missing", "Field required", name)

        elseif value == cjson.null and not field.required then
            body[name] = nil

        elseif value ~= nil then
            local kind, msg, at = checks[field[2]](value, field[3])

            if kind then
                bad[#bad + 1] = complaint(kind, msg, name, at)
            end
        end
    end

    return bad
end


local function known_magic(bytes)
    return bytes:sub(1, 3) == "\xff\xd8\xff"
           or bytes:sub(1, 8) == "\x89PNG\r\n\x1a\n"
           or bytes:sub(1, 4) == "RIFF" and bytes:sub(9, 12) == "WEBP"
           or bytes:sub(5, 8) == "ftyp"
end


local function image_problem(text)
    if text:find("^[hH][tT][tT][pP][sS]?://[^/%s]") then
        return nil
    end

    local comma = text:find("^data:[^,]*;base64,") and text:find(",", 1, true)

    if comma then
        text = text:sub(comma + 1)
    end

    local bytes = ngx.decode_base64(text)

    if not bytes then
        text = text:gsub("%s+", ""):gsub("-", "+"):gsub("_", "/")
        bytes = ngx.decode_base64(text)
    end

    if not bytes then
        return "is neither a URL nor base64"
    end

    if not known_magic(bytes) then
        return "is not a JPEG, PNG, WebP or HEIC image"
    end
end


local function bad_image(body, operation)
    for _, field in ipairs(operations[operation]) do
        local value = body[field[1]]

        if field[2] == "image" then
            value = { value }
        elseif field[2] ~= "images" then
            value = {}
        end

        for _, text in ipairs(value or {}) do
            local problem = image_problem(text)

            if problem then
                return field[1] .. " " .. problem
            end
        end
    end
end


-- each tier has its number of photographs, of which all are links

local TIERS = { standard = { 10, 50 }, fast = { 5, 10 } }


local function bad_training(body)
    local name = body.training_tier or "standard"
    local tier = TIERS[name]
    local n = #body.image_urls

    if n < tier[1] or n > tier[2] then
        return string.format("%s training takes %d to %d photos, not %d",
                             name, tier[1], tier[2], n)
    end

    for _, url in ipairs(body.image_urls) do
        if not url:find("^[hH][tT][tT][pP][sS]?://[^/%s]") then
            return "image_urls are public URLs"
        end
    end
end


local function contradiction(body, operation)
    if operation == "training" then
        return bad_training(body)
    end

    if body.async and body.response_mode ~= "urls" then
        return "async needs response_mode urls"
    end

    if body.callback_url and not (body.async
                                  and callback.allowed(body.callback_url))
    then
        return "callback_url must be HTTPS and needs async"
    end

    if operation ~= "edit" and operation ~= "generate" then
        return nil
    end

    local model = body.base_model or "nb2"

    if body.quality and model ~= "gpt-image-2" then
        return "quality is for gpt-image-2 only"
    end

    if not MODELS[model][body.resolution or "1K"] then
        return model .. " has no resolution " .. body.resolution
    end
end


-- the body as a table; or nil, a status, and its complaints or a sentence

function _M.read(text, operation)
    local body, refused = decode(text)

    if not body then
        return nil, 422, { refused }
    end

    local bad = check(body, operation)

    if #bad > 0 then
        return nil, 422, bad
    end

    local sentence = contradiction(body, operation)

    if sentence then
        return nil, 400, "INVALID_REQUEST", sentence
    end

    sentence = bad_image(body, operation)

    if sentence then
        return nil, 400, "INVALID_IMAGE", sentence
    end

    return body
end


return _M
