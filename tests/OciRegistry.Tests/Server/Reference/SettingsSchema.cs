using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.Server.Reference;

/// <summary>The JSON schema of the settings file, as src/OciRegistry.Server/appsettings.schema.json has it.</summary>
internal static class SettingsSchema
{
    private const string Time = @"^(\d{1,7}\.)?0*(1?\d|2[0-3]):0*[1-5]?\d(:0*[1-5]?\d(\.\d{0,7})?)?$";
    private const string NoTime = "^[0:.]+$";

    // Written for people: an apostrophe is one, and not \u0027.
    private static readonly JsonSerializerOptions Indented = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    public static string Write() => new JsonObject
    {
        ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
        ["title"] = "appsettings.json of OciRegistry.Server",
        ["$comment"] = "Made from the options classes. The registry takes names in any case, and numbers and booleans as texts too; here "
            + "they are as SETTINGS.md spells them. What contradicts another setting, and what is missing, only --check knows.",
        ["type"] = "object",
        ["properties"] = new JsonObject
        {
            ["$schema"] = new JsonObject { ["type"] = "string", ["description"] = "Where this schema is, for editors." },
            [Setting.Section] = Group(Setting.Root, "The registry. SETTINGS.md has all of it in words."),
            ["urls"] = new JsonObject { ["type"] = "string", ["description"] = "Where to listen, separated by ';'." },
            ["Logging"] = Logging(),
        },
    }.ToJsonString(Indented) + "\n";

    private static JsonObject Group(Setting group, string description)
    {
        var properties = new JsonObject();
        foreach (var child in group.Children)
        {
            properties[child.Name] = Of(child);
        }

        return new JsonObject
        {
            ["description"] = description,
            ["type"] = Types("object", isNullable: true),
            ["properties"] = properties,
            ["additionalProperties"] = false,
        };
    }

    private static JsonObject Of(Setting setting)
    {
        if (setting.IsGroup)
        {
            return Group(setting, Described(setting));
        }

        if (setting.IsNumbered)
        {
            var entry = Group(setting, "One of them.");
            entry["type"] = "object";
            return new JsonObject { ["description"] = Described(setting), ["type"] = Types("array", isNullable: true), ["items"] = entry };
        }

        var schema = new JsonObject { ["description"] = Described(setting) };
        if (setting.IsList)
        {
            schema["anyOf"] = new JsonArray(
                Text(setting), new JsonObject { ["type"] = "array", ["items"] = Text(setting), ["minItems"] = 1 });
        }
        else
        {
            AddValue(schema, setting);
        }

        if (setting.Is.IsSecret)
        {
            schema["writeOnly"] = true;
        }

        return schema;
    }

    private static void AddValue(JsonObject schema, Setting setting)
    {
        var type = Nullable.GetUnderlyingType(setting.Type) ?? setting.Type;
        var isNullable = type != setting.Type;
        if (type == typeof(bool))
        {
            schema["type"] = Types("boolean", isNullable);
        }
        else if (type == typeof(int) || type == typeof(long))
        {
            schema["type"] = Types("integer", isNullable);
            schema["minimum"] = Number(setting.Is.Min) ?? (type == typeof(int) ? int.MinValue : long.MinValue);
            schema["maximum"] = Number(setting.Is.Max) ?? (type == typeof(int) ? int.MaxValue : long.MaxValue);
        }
        else if (type == typeof(TimeSpan))
        {
            schema["type"] = Types("string", isNullable);
            schema["pattern"] = Time;
            if (setting.Is.Min is { } least && TimeSpan.Parse(least, CultureInfo.InvariantCulture) > TimeSpan.Zero)
            {
                schema["not"] = new JsonObject { ["pattern"] = NoTime };
            }
        }
        else if (type.IsEnum)
        {
            schema["enum"] = new JsonArray([.. Enum.GetNames(type).Select(name => (JsonNode)name)]);
        }
        else
        {
            schema["type"] = "string";
            schema["pattern"] = @"\S";
        }

        if (setting.Default is not (null or ""))
        {
            schema["default"] = setting.Default switch
            {
                bool value => value,
                int value => value,
                long value => value,
                _ => setting.DefaultText,
            };
        }
    }

    private static JsonObject Text(Setting list) => list.Is.Values is { } values
        ? new JsonObject { ["enum"] = new JsonArray([.. values.Split(' ').Select(value => (JsonNode)value)]) }
        : new JsonObject { ["type"] = "string", ["pattern"] = @"\S" };

    private static JsonObject Logging()
    {
        JsonObject Levels() => new()
        {
            ["type"] = "object",
            ["additionalProperties"] = new JsonObject { ["enum"] = new JsonArray([.. Enum.GetNames<LogLevel>().Select(level => (JsonNode)level)]) },
        };
        return new JsonObject
        {
            ["description"] = "What is logged, from which level on, by category. Levels count without a restart.",
            ["type"] = "object",
            ["properties"] = new JsonObject { ["LogLevel"] = Levels() },
            ["additionalProperties"] = new JsonObject { ["properties"] = new JsonObject { ["LogLevel"] = Levels() } },
        };
    }

    private static string Described(Setting setting)
    {
        var limits = setting.Limits() is { Length: > 0 } some ? $" ({char.ToUpperInvariant(some[0])}{some[1..]}.)" : "";
        return $"{setting.Description()}{limits}".Replace("`", "", StringComparison.Ordinal);
    }

    private static JsonNode Types(string type, bool isNullable) => isNullable ? new JsonArray(type, "null") : type;

    private static long? Number(string? text) => text is null ? null : long.Parse(text, CultureInfo.InvariantCulture);
}
