using System.CommandLine;
using OciRegistry.Server.Commands;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>What <c>--help</c> prints.</summary>
internal static class HelpText
{
    private static readonly int LongestPath = Setting.Root.Leaves().Max(leaf => leaf.Path.Length);

    public static string Text => $"""
        {CommandLine.Version}, a registry for container images and other OCI artifacts

        Usage: OciRegistry.Server [COMMAND] [--NAME=VALUE ...]

        {string.Join(Environment.NewLine, ServerCommands.All.Subcommands.SelectMany(command => Lines(command, command.Name)))}

          --urls=URLS        where to listen, separated by ';' ({Listening.DefaultUrl})
          --check            look whether it would serve, with these settings; print what is wrong, or what it would do
          --help, --version  print this, or the version, and exit; COMMAND --help prints what it takes

        Settings, and their defaults:

        {string.Join(Environment.NewLine, Setting.Root.Leaves().Select(Line))}

        Each can be given
          on the command line    --OciRegistry:Deletes:Enabled=false
          in the environment     OciRegistry__Deletes__Enabled=false
          in appsettings.json    "OciRegistry": {"{"} "Deletes": {"{"} "Enabled": false {"}"} {"}"}
        and the first of these counts. appsettings.json is read from the current folder. So are ASP.NET Core's own
        settings: Kestrel (endpoints, certificates), Logging, AllowedHosts. While the registry runs it looks at that file
        every second: levels of logs, and settings above with a '*', count from then on. The others need a restart.
        """;

    /// <summary>The help of one command, where it was asked for.</summary>
    public static string Of(ParseResult command)
    {
        using var text = new StringWriter();
        command.Invoke(new InvocationConfiguration { Output = text });
        return text.ToString().TrimEnd();
    }

    private static IEnumerable<string> Lines(Command command, string path) => command.Subcommands.Count > 0
        ? command.Subcommands.SelectMany(below => Lines(below, $"{path} {below.Name}"))
        : [$"  {string.Join(' ', command.Arguments.Select(argument => argument.Name).Prepend(path)),-34} {command.Description}"];

    private static string Line(Setting setting) =>
        $"  {Name(setting).PadRight(LongestPath + 1)} {setting.DefaultText}{Environment.NewLine}      {SettingValue.Kind(setting.Type)}";

    private static string Name(Setting setting) => setting.Is.MayChange || Setting.Of(setting.Path)!.Is.MayChange ? $"{setting.Path}*" : setting.Path;
}
