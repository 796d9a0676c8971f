namespace OciRegistry.Server.Settings;

/// <summary>What came of a change of the settings: problems, and then nothing else; or what counts from here on, and what does not yet.</summary>
internal sealed record SettingsChange
{
    /// <summary>What is wrong, each sentence with its remedy: everything stayed as it was.</summary>
    public IReadOnlyList<string> Problems { get; init; } = [];

    public IReadOnlyList<TakenSetting> Taken { get; init; } = [];

    /// <summary>What needs a restart.</summary>
    public IReadOnlyList<LaterSetting> Later { get; init; } = [];
}

/// <param name="Path">The setting.</param>
/// <param name="Value">What it is now; null for what is no text, or a secret.</param>
/// <param name="Before">What it was, likewise.</param>
/// <param name="IsPolicies">Whether it says who may do what.</param>
internal sealed record TakenSetting(string Path, string? Value, string? Before, bool IsPolicies);

/// <param name="Path">The setting.</param>
/// <param name="Value">What it stays until then; null for what is no text, or a secret.</param>
internal sealed record LaterSetting(string Path, string? Value);

/// <summary>A setting that has changed; a list is one, whatever in it has.</summary>
/// <param name="Path">The setting, or the framework's key.</param>
/// <param name="Setting">Null for the framework's.</param>
internal sealed record ChangedSetting(string Path, Setting? Setting)
{
    // Of what else may stand in the files, these are read at the start. The rest is nobody's, or whoever's has it.
    private static readonly string[] Framework =
    [
        WebHostDefaults.ServerUrlsKey, WebHostDefaults.HttpPortsKey, WebHostDefaults.HttpsPortsKey, "Kestrel", "Logging", "AllowedHosts",
    ];

    /// <summary>
    /// Whether the change counts without a restart. A list whose entries have settings that may change counts as a whole, when nothing
    /// else in it has changed: an entry's number alone does not tell which one it is.
    /// </summary>
    public bool MayChange(Dictionary<string, string?> before, Dictionary<string, string?> after) =>
        Setting is null ? LogLevels.IsOne(Path)
        : Setting.Is.MayChange
            || (Setting.IsNumbered && DifferentKeys(before, after).All(key => Setting.OfEntry(key)?.Is.MayChange == true));

    public bool IsPolicies => Setting?.Option?.PropertyType == typeof(IList<PolicyOptions>);

    /// <summary>Null for a key that means nothing to the program.</summary>
    public static ChangedSetting? Of(string key) =>
        Setting.Of(key) is { } setting && IsBelow(Setting.Section, key) ? new ChangedSetting(setting.Path, setting)
        : Framework.Any(name => IsBelow(name, key)) ? new ChangedSetting(key, null)
        : null;

    /// <summary>Whether the key belongs to it.</summary>
    public bool Has(string key) => IsBelow(Path, key);

    public bool Differs(Dictionary<string, string?> before, Dictionary<string, string?> after) => DifferentKeys(before, after).Any();

    private IEnumerable<string> DifferentKeys(Dictionary<string, string?> before, Dictionary<string, string?> after) =>
        before.Keys.Union(after.Keys, StringComparer.OrdinalIgnoreCase)
            .Where(key => Has(key) && before.GetValueOrDefault(key) != after.GetValueOrDefault(key));

    /// <summary>What it is, for people to read; null when that is no text, or a secret. Keys of the framework have passwords as well.</summary>
    public string? Text(Dictionary<string, string?> values) =>
        Setting is null ? (LogLevels.IsOne(Path) ? values.GetValueOrDefault(Path) ?? "not set" : null)
        : Setting.Is.IsSecret || Setting.IsList || Setting.IsNumbered ? null
        : values.GetValueOrDefault(Path) is { Length: > 0 } value ? (Setting.Type == typeof(bool) ? value.ToLowerInvariant() : value)
        : Setting.DefaultText;

    private static bool IsBelow(string path, string key) =>
        key.StartsWith(path, StringComparison.OrdinalIgnoreCase) && (key.Length == path.Length || key[path.Length] == ':');
}
