using System.CommandLine;
using System.CommandLine.Help;
using System.Reflection;
using OciRegistry.Server.Commands;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>
/// What may stand on the command line: a command with what is its own, and settings, as <c>--NAME=VALUE</c> or
/// <c>--NAME VALUE</c>. The framework ignores all that it cannot make sense of; here it is said.
/// </summary>
internal sealed class CommandLine
{
    /// <summary>What stands for standard input where a file is named.</summary>
    public const string StandardInput = "-";

    /// <summary>Look whether it would serve, instead of serving.</summary>
    public const string Check = "--check";

    private const string Folder = $"--{Setting.Section}:Storage:FileSystem:Root=FOLDER";
    private const string Address = "--urls=http://127.0.0.1:PORT";

    // An '@' begins the name of a user, not of a file with further arguments; and "-ab" is no "-a -b".
    private static readonly ParserConfiguration Plainly = new() { ResponseFileTokenReplacer = null, EnablePosixBundling = false };

    // The host's own; a name that ends in ':' stands for all below it.
    private static readonly string[] Known =
    [
        $"{Setting.Section}:", "urls", "http_ports", "https_ports", "Kestrel:", "Logging:", "AllowedHosts",
        "environment", "contentRoot", "applicationName",
    ];

    // What other registries and servers call these things.
    private static readonly Dictionary<string, string> Otherwise = new(StringComparer.OrdinalIgnoreCase)
    {
        ["port"] = Address,
        ["p"] = Address,
        ["host"] = Address,
        ["address"] = Address,
        ["addr"] = Address,
        ["listen"] = Address,
        ["bind"] = Address,
        ["url"] = Address,
        ["data"] = Folder,
        ["dir"] = Folder,
        ["data-dir"] = Folder,
        ["directory"] = Folder,
        ["folder"] = Folder,
        ["path"] = Folder,
        ["root"] = Folder,
        ["storage"] = Folder,
        ["config"] = "appsettings.json in the current folder",
        ["c"] = "appsettings.json in the current folder",
        ["read-only"] = $"--{Setting.Section}:ReadOnly=true",
        ["shutdownTimeoutSeconds"] = $"--{Setting.Section}:Drain:Deadline=00:00:20",
        ["verbose"] = "--Logging:LogLevel:Default=Debug",
        ["v"] = "--version",
        ["check"] = "--check alone", // with a value
        ["dry-run"] = Check,
        ["validate"] = Check,
        ["test"] = Check,
        ["h"] = "--help",
    };

    private readonly List<string> _problems = [];
    private readonly List<string> _settings = [];

    private CommandLine(string[] args, Command commands)
    {
        // To System.CommandLine an option that it does not know is an argument, and would be a user's name, say. So settings
        // are taken out first, wherever they stand.
        var own = ServerCommands.OptionsOf(commands);
        var others = new List<(int Position, string Text)>();
        for (var i = 0; i < args.Length; i++)
        {
            var parts = args[i].Split('=', 2);
            if (!args[i].StartsWith('-') || args[i] == StandardInput || args[i] == Check || own.Contains(parts[0]))
            {
                others.Add((i + 1, args[i]));
                continue;
            }

            var value = parts.ElementAtOrDefault(1)
                ?? (i + 1 < args.Length && !args[i + 1].StartsWith('-') ? args[++i] : null);
            Add(parts[0], value);
        }

        Call = commands.Parse([.. others.Select(other => other.Text)], Plainly);
        if (IsToServe)
        {
            IsToCheck = others.RemoveAll(other => other.Text == Check) > 0;
            AddOthers(others);
        }
        else
        {
            _problems.AddRange(CallProblems.Of(Call));
        }

        Answer = IsToServe && args.Any(arg => arg is "--help" or "-h" or "-?") ? HelpText.Text
            : Call.Action is HelpAction ? HelpText.Of(Call)
            : args.Contains("--version") ? Version
            : null;
    }

    public static string Version => "OciRegistry " + typeof(CommandLine).Assembly
        .GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    /// <summary>The command, and what is its own.</summary>
    public ParseResult Call { get; }

    /// <summary>Whether the registry is to be served, as it is when there is no command.</summary>
    public bool IsToServe => Call.CommandResult is { Parent: null } or { Command.Name: ServeCommand.Name };

    /// <summary>Whether only to look whether the registry could be served.</summary>
    public bool IsToCheck { get; }

    /// <summary>What to print instead of doing anything; null when nothing of the kind was asked for.</summary>
    public string? Answer { get; }

    public IReadOnlyList<string> Problems => _problems;

    /// <summary>The settings among the arguments, all written alike; what is a problem is not among them.</summary>
    public string[] Settings => [.. _settings];

    /// <param name="args">What the program was given.</param>
    /// <param name="commands">What may stand there beside settings; null for nothing.</param>
    public static CommandLine Parse(string[] args, Command? commands = null) =>
        new(args, commands ?? new Command("none"));

    // Serving takes settings only.
    private void AddOthers(List<(int Position, string Text)> others)
    {
        if (Call.CommandResult.Parent is not null)
        {
            others.RemoveAt(others.FindIndex(other => other.Text == ServeCommand.Name));
        }

        foreach (var (position, text) in others)
        {
            if (text.StartsWith('-'))
            {
                Add(text.Split('=', 2)[0], value: null);
            }
            else
            {
                // Its text stays unsaid: it may be the end of a value that was not quoted.
                _problems.Add($"Argument {position} on the command line is no option. Write settings as --NAME=VALUE.");
            }
        }
    }

    private void Add(string option, string? value)
    {
        var name = option.TrimStart('-');
        if (!option.StartsWith("--", StringComparison.Ordinal) || !Known.Any(known => IsNamedBy(known, name)))
        {
            var instead = Otherwise.GetValueOrDefault(name) ?? Meant(name);
            _problems.Add($"{option} is no option." + (instead is null ? "" : $" Use {instead}."));
        }
        else if (value is null)
        {
            _problems.Add($"{option} has no value. Write {option}=VALUE.");
        }
        else
        {
            _settings.Add($"--{name}={value}");
        }
    }

    private static bool IsNamedBy(string known, string name) => known.EndsWith(':')
        ? name.StartsWith(known, StringComparison.OrdinalIgnoreCase)
        : name.Equals(known, StringComparison.OrdinalIgnoreCase);

    // A setting without its section or with the environment's '__', a bare last name, or a typing error.
    private static string? Meant(string name)
    {
        var path = name.Replace("__", ":", StringComparison.Ordinal);
        var settings = Setting.Root.Leaves().Select(leaf => leaf.Path).ToList();
        var meant = settings.FirstOrDefault(setting => setting.Equals(path, StringComparison.OrdinalIgnoreCase))
            ?? settings.FirstOrDefault(setting => setting.EndsWith($":{path}", StringComparison.OrdinalIgnoreCase))
            ?? Nearest.To(path, [.. settings, .. Known.Where(known => !known.EndsWith(':'))]);
        return meant is null ? null : $"--{meant}=VALUE";
    }
}
