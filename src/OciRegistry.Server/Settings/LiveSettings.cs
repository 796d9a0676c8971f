namespace OciRegistry.Server.Settings;

/// <summary>
/// What counts, in place of the sources that it came from: their values at the start, but for what was taken since. Whoever in
/// the framework looks at the configuration again sees no other.
/// </summary>
internal sealed class LiveSettings : ConfigurationProvider, IConfigurationSource
{
    public LiveSettings(IConfiguration configuration) => Data = ValuesOf(configuration);

    /// <summary>All that is set, by its key.</summary>
    public static Dictionary<string, string?> ValuesOf(IConfiguration configuration) => configuration.AsEnumerable()
        .Where(pair => pair.Value is not null)
        .ToDictionary(StringComparer.OrdinalIgnoreCase);

    public IConfigurationProvider Build(IConfigurationBuilder builder) => this;

    /// <summary>A copy.</summary>
    public Dictionary<string, string?> Values() => new(Data, StringComparer.OrdinalIgnoreCase);

    /// <summary>Has these count from here on, all at once.</summary>
    public void Take(Dictionary<string, string?> values)
    {
        Data = values;
        OnReload();
    }
}
