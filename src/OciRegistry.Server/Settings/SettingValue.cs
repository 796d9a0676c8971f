using System.ComponentModel;
using System.Globalization;

namespace OciRegistry.Server.Settings;

/// <summary>What the value of a setting may look like.</summary>
internal static class SettingValue
{
    /// <summary>Null when <paramref name="text"/> is a value of that type, else what would be one.</summary>
    public static string? Problem(Type type, string text)
    {
        var target = Nullable.GetUnderlyingType(type);
        if (target is not null && text.Length == 0)
        {
            return null;
        }

        return Parses(target ?? type, text) ? null : $"Set it to {Kind(type)}.";
    }

    /// <summary>The values of a type, in words.</summary>
    public static string Kind(Type type) => (Nullable.GetUnderlyingType(type) ?? type) switch
    {
        var t when t == typeof(bool) => "true or false",
        var t when t == typeof(int) => $"a whole number of at most {int.MaxValue}",
        var t when t == typeof(long) => "a whole number",
        var t when t == typeof(TimeSpan) => "a time as [days.]hours:minutes:seconds, such as 00:10:00 or 7.00:00:00",
        var t when t == typeof(IList<string>) => "a text, or a list of texts",
        { IsEnum: true } t => $"one of {string.Join(", ", Enum.GetNames(t))}",
        _ => "a text",
    };

    private static bool Parses(Type type, string text)
    {
        if (type == typeof(string))
        {
            return !string.IsNullOrWhiteSpace(text);
        }

        if (type == typeof(TimeSpan))
        {
            // The binder takes "24" and "24:00:00" for 24 days, which nobody means.
            return text.Contains(':', StringComparison.Ordinal)
                && TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out _);
        }

        if (type.IsEnum)
        {
            // Names only: the binder takes any number, also one that has no name.
            return Enum.GetNames(type).Contains(text, StringComparer.OrdinalIgnoreCase);
        }

        try
        {
            TypeDescriptor.GetConverter(type).ConvertFromInvariantString(text);
            return true;
        }
        catch (ArgumentException)
        {
            return false; // what the converters of numbers throw
        }
        catch (FormatException)
        {
            return false; // what that of bool throws
        }
    }
}
