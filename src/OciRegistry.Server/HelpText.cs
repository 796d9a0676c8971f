using System.Globalization;
using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>What <c>--help</c> prints.</summary>
internal static class HelpText
{
    public static string Text => $"""
        {CommandLine.Version}, a registry for container images and other OCI artifacts

        Usage: OciRegistry.Server [--NAME=VALUE ...]

          --urls=URLS        where to listen, separated by ';' ({Listening.DefaultUrl})
          --help, --version  print this, or the version, and exit

        Settings, and their defaults:

        {string.Join(Environment.NewLine, Setting.Root.Leaves().Select(Line))}

        Each can be given
          on the command line    --OciRegistry:Deletes:Enabled=false
          in the environment     OciRegistry__Deletes__Enabled=false
          in appsettings.json    "OciRegistry": {"{"} "Deletes": {"{"} "Enabled": false {"}"} {"}"}
        and the first of these counts. appsettings.json is read from the current folder. So are ASP.NET Core's own
        settings: Kestrel (endpoints, certificates), Logging, AllowedHosts.
        """;

    private static string Line(Setting setting) =>
        $"  {setting.Path,-40} {Default(setting)}{Environment.NewLine}      {SettingValue.Kind(setting.Type)}";

    private static string Default(Setting setting) => setting.Default switch
    {
        null or "" => "none",
        bool value => value ? "true" : "false",
        var value => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
