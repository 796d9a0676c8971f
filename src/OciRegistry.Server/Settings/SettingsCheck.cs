using Microsoft.Extensions.Configuration.CommandLine;
using Microsoft.Extensions.Configuration.EnvironmentVariables;
using Microsoft.Extensions.Configuration.Json;

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

    public static IReadOnlyList<string> Problems(IConfigurationRoot configuration)
    {
        var check = new SettingsCheck(configuration);
        check.Check(configuration.GetSection(Setting.Section), Setting.Root);
        check.CheckTogether();
        return check._problems;
    }

    private void Check(IConfigurationSection section, Setting setting)
    {
        if (!setting.IsGroup)
        {
            CheckValue(section, setting);
            return;
        }

        if (!string.IsNullOrEmpty(section.Value))
        {
            var names = string.Join(", ", setting.Children.Select(child => child.Name));
            _problems.Add($"{Named(section)} takes no value of its own. Set what is below it: {names}.");
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

    private void CheckValue(IConfigurationSection section, Setting setting)
    {
        if (section.GetChildren().Any())
        {
            var kind = SettingValue.Kind(setting.Type);
            _problems.Add($"{Named(section)} takes one value, not several. Set it to {kind}.");
        }
        else if (SettingValue.Problem(setting.Type, section.Value ?? "") is { } remedy)
        {
            var value = string.IsNullOrEmpty(section.Value) ? "has no value" : $"is '{section.Value}'";
            _problems.Add($"{Named(section)} {value}. {remedy}");
        }
        else
        {
            _readable.Add(section.Path, section.Value);
        }
    }

    // Values that cannot be read are left out, so that one wrong value does not hide what else is wrong.
    private void CheckTogether()
    {
        var options = new OciRegistryOptions();
        new ConfigurationBuilder().AddInMemoryCollection(_readable).Build().GetSection(Setting.Section).Bind(options);
        _problems.AddRange(options.Problems().Select(problem => $"{Setting.Section}:{problem}"));
    }

    private static string Suggestion(IConfigurationSection unknown, Setting parent)
    {
        var meant = Nearest.To(unknown.Key, parent.Children.Select(child => child.Name)) is { } name
            ? $"{parent.Path}:{name}"
            : Setting.Root.Leaves().FirstOrDefault(
                leaf => leaf.Name.Equals(unknown.Key, StringComparison.OrdinalIgnoreCase))?.Path;
        return meant is null
            ? $"{parent.Path} has {string.Join(", ", parent.Children.Select(child => child.Name))}."
            : $"Did you mean {meant}?";
    }

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
