using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.Server.Reference;

/// <summary>A setting in words: for the reference and for the schema.</summary>
internal static class SettingText
{
    private const string LeastTime = "00:00:00.0000001";

    /// <summary>What it does.</summary>
    public static string Description(this Setting setting)
    {
        var text = setting.Option is null ? null : XmlDocs.Summary(setting.Option);
        if (setting.Children.Count > 0)
        {
            var about = setting.Children.Select(child => child.Option?.DeclaringType).OfType<Type>().FirstOrDefault();
            text = (about is null ? null : XmlDocs.Summary(about)) is { } more
                ? setting.IsNumbered ? $"{text} {more}".TrimStart() : more
                : text;
        }

        return text ?? "";
    }

    /// <summary>The smallest and the greatest value; empty when any will do.</summary>
    public static string Limits(this Setting setting) => (setting.Is.Min, setting.Is.Max) switch
    {
        (null, null) => "",
        (LeastTime, null) => "more than 00:00:00",
        (LeastTime, var max) => $"more than 00:00:00, up to {max}",
        (var min, null) => $"{min} or more",
        (null, var max) => $"up to {max}",
        var (min, max) => $"from {min} to {max}",
    };

    /// <summary>The default, and how people would say it.</summary>
    public static string DefaultInWords(this Setting setting)
    {
        var said = setting.Option is null ? null : XmlDocs.Value(setting.Option);
        var words = said is null or "null" ? "none" : said[(said.IndexOf(": ", StringComparison.Ordinal) is > 0 and var colon ? colon + 2 : 0)..];
        return setting.Default is null or "" ? words
            : setting.DefaultText.Equals(words, StringComparison.OrdinalIgnoreCase) ? $"`{setting.DefaultText}`"
            : said is null ? $"`{setting.DefaultText}`"
            : $"`{setting.DefaultText}` ({words})";
    }
}
