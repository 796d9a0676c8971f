using System.Globalization;
using Microsoft.Extensions.Configuration.CommandLine;
using Microsoft.Extensions.Configuration.EnvironmentVariables;
using Microsoft.Extensions.Configuration.Json;
using OciRegistry.Redis;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Server.Settings;

/// <summary>Everything that is wrong with the section <c>OciRegistry</c>, wherever its settings come from.</summary>
/// <remarks>
/// The framework's binder ignores a key that it does not know, and stops at the first value that it cannot read. A
/// registry that was meant to refuse deletes must not start without doing so because of a typing error.
/// </remarks>
internal sealed class SettingsCheck
{
    private readonly IConfigurationRoot _configuration;
    private readonly List<string> _problems = [];
    private readonly Dictionary<string, string?> _readable = [];

    private SettingsCheck(IConfigurationRoot configuration) => _configuration = configuration;

    public static IReadOnlyList<string> Problems(IConfigurationRoot configuration) => Problems(configuration, out _);

    /// <param name="configuration">All settings.</param>
    /// <param name="readable">Those that can be read: what they say may be looked into, whatever is wrong with others.</param>
    public static IReadOnlyList<string> Problems(IConfigurationRoot configuration, out IConfigurationRoot readable)
    {
        var check = new SettingsCheck(configuration);
        check.Check(configuration.GetSection(Setting.Section), Setting.Root);
        readable = new ConfigurationBuilder().AddInMemoryCollection(check._readable).Build();
        check.CheckTogether(readable);
        return check._problems;
    }

    private void Check(IConfigurationSection section, Setting setting)
    {
        if (setting.IsList)
        {
            CheckList(section);
            return;
        }

        if (setting.IsNumbered)
        {
            CheckNumbered(section, setting);
            return;
        }

        if (!setting.IsGroup)
        {
            CheckValue(section, setting);
            return;
        }

        CheckGroup(section, setting);
    }

    private void CheckGroup(IConfigurationSection section, Setting setting)
    {
        if (!string.IsNullOrEmpty(section.Value))
        {
            _problems.Add($"{Named(section)} takes no value of its own. Set what is below it: {NamesBelow(setting)}.");
        }

        foreach (var child in section.GetChildren())
        {
            var known = setting.Children.FirstOrDefault(
                candidate => candidate.Name.Equals(child.Key, StringComparison.OrdinalIgnoreCase));
            if (known is null)
            {
                _problems.Add($"{Named(child)} is no setting. {Suggestion(child, setting)}");
            }
            else
            {
                Check(child, known);
            }
        }
    }

    private void CheckNumbered(IConfigurationSection section, Setting setting)
    {
        if (!string.IsNullOrEmpty(section.Value))
        {
            _problems.Add($"{Named(section)} is a list. Number its entries: {section.Path}:0:{setting.Children[0].Name}.");
        }

        foreach (var entry in section.GetChildren())
        {
            if (IsNumber(entry.Key))
            {
                CheckGroup(entry, setting);
            }
            else
            {
                _problems.Add($"{Named(entry)} is no setting. Number the entries: {section.Path}:0:{setting.Children[0].Name}.");
            }
        }
    }

    private void CheckValue(IConfigurationSection section, Setting setting)
    {
        if (section.GetChildren().Any())
        {
            var kind = SettingValue.Kind(setting.Type);
            _problems.Add($"{Named(section)} takes one value, not several. Set it to {kind}.");
        }
        else
        {
            CheckValue(section, setting.Type, section.Path);
        }
    }

    private void CheckValue(IConfigurationSection section, Type type, string path)
    {
        if (SettingValue.Problem(type, section.Value ?? "") is { } remedy)
        {
            var value = string.IsNullOrEmpty(section.Value) ? "has no value" : $"is '{section.Value}'";
            _problems.Add($"{Named(section)} {value}. {remedy}");
        }
        else
        {
            _readable.Add(path, section.Value);
        }
    }

    private void CheckList(IConfigurationSection section)
    {
        var entries = section.GetChildren().ToArray();
        if (entries.Length == 0)
        {
            CheckValue(section, typeof(string), $"{section.Path}:0");
        }
        else if (!string.IsNullOrEmpty(section.Value))
        {
            _problems.Add($"{Named(section)} has a value, and a list below it. Leave one of them out.");
        }

        foreach (var entry in entries)
        {
            if (!IsNumber(entry.Key))
            {
                _problems.Add($"{Named(entry)} is no setting. Number the entries: {section.Path}:0, {section.Path}:1.");
            }
            else if (entry.GetChildren().Any())
            {
                _problems.Add($"{Named(entry)} takes one value, not several. Set it to {SettingValue.Kind(typeof(string))}.");
            }
            else
            {
                CheckValue(entry, typeof(string), entry.Path);
            }
        }
    }

    // Values that cannot be read are left out, so that one wrong value does not hide what else is wrong.
    private void CheckTogether(IConfigurationRoot readable)
    {
        var options = new OciRegistryOptions();
        readable.GetSection(Setting.Section).Bind(options);
        var redis = new RedisLocksOptions();
        readable.GetSection(Setting.Redis).Bind(redis);

        var problems = options.Problems()
            .Concat(ServerConfiguration.Connections(readable).Problems())
            .Concat(ServerConfiguration.Proxies(readable).Problems());
        if (redis.Configuration.Count > 0)
        {
            problems = problems.Concat(redis.Problems());
        }

        if (ServerConfiguration.UsesAzureBlobs(_configuration))
        {
            problems = problems.Concat(ServerConfiguration.AzureBlobs(readable).Problems());
            if (_configuration[$"{Setting.FileSystem}:{nameof(FileSystemStoreOptions.Root)}"] is not null)
            {
                problems = problems.Append("Storage has settings of FileSystem and of AzureBlobs. Leave those of one of them out.");
            }
        }

        _problems.AddRange(problems.Select(problem => $"{Setting.Section}:{problem}"));
    }

    private static string Suggestion(IConfigurationSection unknown, Setting parent)
    {
        var meant = Nearest.To(unknown.Key, parent.Children.Select(child => child.Name)) is { } name
            ? $"{parent.Path}:{name}"
            : Setting.Root.Leaves().FirstOrDefault(
                leaf => leaf.Name.Equals(unknown.Key, StringComparison.OrdinalIgnoreCase))?.Path;
        return meant is null ? $"{parent.Path} has {NamesBelow(parent)}." : $"Did you mean {meant}?";
    }

    private static string NamesBelow(Setting setting) => string.Join(", ", setting.Children.Select(child => child.Name));

    private static bool IsNumber(string key) => int.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out _);

    // The last provider that has it is the one whose value counts.
    private string Named(IConfigurationSection section)
    {
        var source = _configuration.Providers.Reverse().FirstOrDefault(
            provider => provider.TryGet(section.Path, out _) || provider.GetChildKeys([], section.Path).Any());
        var name = source switch
        {
            JsonConfigurationProvider json => json.Source.Path,
            EnvironmentVariablesConfigurationProvider => "environment",
            CommandLineConfigurationProvider => "command line",
            _ => null,
        };
        return name is null ? section.Path : $"{section.Path} ({name})";
    }
}
