namespace OciRegistry.Server.Settings;

/// <summary>
/// The settings of a registry that runs. When their files change, what may change counts at once and together; what needs a
/// restart is told of. Settings that the start would refuse change nothing. The environment and the command line count before
/// the files, as ever.
/// </summary>
internal sealed class ChangingSettings
{
    private readonly CommandLine _line;
    private readonly SettingsFiles _files;
    private readonly LiveSettings _live;
    private SettingsContent? _seen; // null until the first look: the files may have changed while the server started
    private SettingsContent _used;
    private Dictionary<string, string?> _read;

    /// <param name="line">What the program was started with.</param>
    /// <param name="configuration">What came of it, without problems; its sources give way to what counts of them.</param>
    public ChangingSettings(CommandLine line, ConfigurationManager configuration)
    {
        _line = line;
        _files = new SettingsFiles(configuration);
        _used = _files.Read();
        _live = new LiveSettings(configuration);
        _read = _live.Values();

        IConfigurationBuilder builder = configuration;
        builder.Sources.Clear();
        builder.Add(_live);
    }

    /// <summary>Whether the files are, since the last look, such that they were refused.</summary>
    public bool IsRejected { get; private set; }

    /// <summary>Looks at the files once more. One caller at a time.</summary>
    /// <returns>What came of a change; null when there is none.</returns>
    public SettingsChange? Refresh()
    {
        var content = _files.Read();
        if (content == _seen)
        {
            return null;
        }

        _seen = content; // whatever comes of it comes of it once
        Dictionary<string, string?> values = [];
        List<string> problems = [.. content.ProblemsSince(_used)];
        if (problems.Count == 0)
        {
            problems = Read(out values); // what has changed once more meanwhile is seen with the next look
        }

        IsRejected = problems.Count > 0;
        if (IsRejected)
        {
            return new SettingsChange { Problems = problems };
        }

        _used = content;
        return Take(values);
    }

    private List<string> Read(out Dictionary<string, string?> values)
    {
        values = [];
        try
        {
            var configuration = ServerConfiguration.CreateBuilder(_line).Configuration;
            values = LiveSettings.ValuesOf(configuration);
            return [.. StartupCheck.Problems(configuration)];
        }
        catch (StartupException unreadable)
        {
            return [.. unreadable.Problems];
        }
    }

    private SettingsChange? Take(Dictionary<string, string?> values)
    {
        var before = _live.Values();
        var changed = Changed(_read, values);

        // Nothing that was started may find that people have to log in since, or no longer.
        var (now, taken) = With(before, values, changed.Where(one => one.MayChange(before, values)));
        if (IsRequired(now) != IsRequired(before))
        {
            (now, taken) = With(before, values, changed.Where(one => one.MayChange(before, values) && !one.IsPolicies));
        }

        _read = values;
        if (taken.Count > 0)
        {
            _live.Take(now);
        }

        var later = changed.Except(taken).Where(one => one.Differs(before, values)).ToList();
        return taken.Count + later.Count == 0 ? null : new SettingsChange
        {
            Taken = [.. taken.Select(one => new TakenSetting(one.Path, one.Text(now), one.Text(before), one.IsPolicies))],
            Later = [.. later.Select(one => new LaterSetting(one.Path, one.Text(before)))],
        };
    }

    private static List<ChangedSetting> Changed(Dictionary<string, string?> before, Dictionary<string, string?> after) =>
    [
        .. before.Keys.Union(after.Keys, StringComparer.OrdinalIgnoreCase)
            .Where(key => before.GetValueOrDefault(key) != after.GetValueOrDefault(key))
            .Select(ChangedSetting.Of)
            .OfType<ChangedSetting>()
            .Distinct()
            .OrderBy(one => one.Path, StringComparer.OrdinalIgnoreCase),
    ];

    private static (Dictionary<string, string?> Values, List<ChangedSetting> Taken) With(
        Dictionary<string, string?> before, Dictionary<string, string?> after, IEnumerable<ChangedSetting> changes)
    {
        var now = new Dictionary<string, string?>(before, StringComparer.OrdinalIgnoreCase);
        var taken = changes.Where(one => one.Differs(before, after)).ToList();
        foreach (var one in taken)
        {
            foreach (var key in before.Keys.Where(one.Has))
            {
                now.Remove(key);
            }

            foreach (var (key, value) in after.Where(pair => one.Has(pair.Key)))
            {
                now.Add(key, value);
            }
        }

        return (now, taken);
    }

    private static bool IsRequired(Dictionary<string, string?> values) =>
        ServerConfiguration.Auth(new ConfigurationBuilder().AddInMemoryCollection(values).Build()).IsRequired;
}
