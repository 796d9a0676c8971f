namespace OciRegistry.Server.Settings;

/// <summary>The framework's settings of what is logged: it stops at the first that it cannot read, with a stack trace.</summary>
internal static class LogLevels
{
    private const string Section = "Logging";
    private const string Group = "LogLevel";

    /// <summary>Whether a key says from which level on something is logged: everywhere, or by one kind of log.</summary>
    public static bool IsOne(string key) => key.Split(':') is [var section, .. var rest]
        && section.Equals(Section, StringComparison.OrdinalIgnoreCase)
        && rest.SkipLast(1).Take(2).Any(name => name.Equals(Group, StringComparison.OrdinalIgnoreCase));

    public static IEnumerable<string> Problems(IConfiguration configuration) =>
        from pair in configuration.GetSection(Section).AsEnumerable()
        where IsOne(pair.Key) && !string.IsNullOrEmpty(pair.Value) && !IsLevel(pair.Value)
        select $"{pair.Key} is '{pair.Value}'. Set it to one of {string.Join(", ", Enum.GetNames<LogLevel>())}.";

    private static bool IsLevel(string text) => Enum.GetNames<LogLevel>().Contains(text, StringComparer.OrdinalIgnoreCase);
}
