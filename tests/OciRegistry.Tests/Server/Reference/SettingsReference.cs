using System.Text;
using OciRegistry.Server.Settings;

namespace OciRegistry.Tests.Server.Reference;

/// <summary>The reference of all settings, as src/OciRegistry.Server/SETTINGS.md has it.</summary>
internal static class SettingsReference
{
    private const string Introduction = """
        # Settings

        Every setting of the section `OciRegistry`, made from the options classes: what is to be changed here is changed there, in
        their documentation comments. [tests/README.md](../../tests/README.md) says how it is written anew.

        **Where they are set.** In `appsettings.json` in the current folder, in that of the environment (`appsettings.Production.json`,
        as `--environment` or `DOTNET_ENVIRONMENT` names it), in the environment, and on the command line; the later counts:

        ```sh
        OciRegistry__Deletes__Enabled=false OciRegistry.Server --OciRegistry:Uploads:MaxBlobSize=10737418240
        ```

        ```json
        {
          "$schema": "appsettings.schema.json",
          "OciRegistry": {
            "Deletes": { "Enabled": false },
            "Uploads": { "MaxBlobSize": 10737418240 }
          }
        }
        ```

        Upper and lower case are alike. `<n>` is the number of an entry, from 0; JSON has a list there. Where a list of texts is taken,
        one text will do. A time is `[days.]hours:minutes:seconds`: `00:10:00` is ten minutes, `7.00:00:00` seven days.
        [appsettings.schema.json](appsettings.schema.json) is a JSON schema (draft 2020-12) with which editors complete and check the file;
        it wants names as they are spelled here, and JSON's own numbers and `true` or `false`.

        **What is wrong** stops the start: a setting that is unknown, cannot be read, or contradicts another, all of them at once. `--check`
        says it without a start, of certificates, files and the storage too:

        ```sh
        OciRegistry.Server --check --OciRegistry:Deletes:Enabled=false
        ```

        It prints what would be served, and exits with 0; or all problems, and exits with 1. What it writes to try the storage it removes;
        it makes neither the folder nor the container. A Redis that is away, or an address in use, is a warning: the registry may run now.

        **Without a restart.** While the registry runs it looks at the files every second. Settings that say so below, and the levels of logs
        (`Logging:LogLevel`), count from the next request on; a request that runs sees none of a change, and the next one all of it. What
        was taken is in the log, a line each; a change of policies in the audit log. A file that is wrong anywhere, is gone, or is half
        written changes nothing, and the log says why, once. What needs a restart is named in the log as well, stays as it is, and keeps
        nothing else from being taken. Whether anybody has to log in at all never changes: to open or to close a registry needs a restart.
        The environment and the command line still count before the files. Files that settings name for users, policies, keys and
        certificates are read again by themselves. In Kubernetes a ConfigMap that is mounted as a folder is seen; one that is mounted by
        `subPath` Kubernetes itself does not renew.

        Beside this section there are ASP.NET Core's own: `urls`, `Kestrel`, `Logging`, `AllowedHosts`.


        """;

    public static string Write()
    {
        var text = new StringBuilder(Introduction);
        Write(text, Setting.Root, "The registry", "Settings that stand in the section itself.");
        return text.ToString().TrimEnd() + "\n";
    }

    private static void Write(StringBuilder text, Setting group, string title, string about)
    {
        var leaves = group.Children.Where(child => child.Children.Count == 0).ToList();
        if (leaves.Count > 0)
        {
            text.Append("## ").Append(title).Append("\n\n").Append(about).Append("\n\n");
            text.Append("| setting, and as a variable | takes | default | restart | what it does |\n|---|---|---|---|---|\n");
            leaves.ForEach(leaf => text.Append(Row(leaf)));
            text.Append('\n');
        }

        foreach (var below in group.Children.Where(child => child.Children.Count > 0))
        {
            Write(text, below, $"`{Short(below)}{(below.IsNumbered ? $":{Setting.Number}" : "")}`", below.Description());
        }
    }

    private static string Row(Setting leaf)
    {
        var takes = leaf.Is.Values is { } values ? $"a text, or a list of texts: `{values.Replace(" ", "`, `", StringComparison.Ordinal)}`"
            : leaf.Type == typeof(TimeSpan) ? "a time"
            : SettingValue.Kind(leaf.Type).Replace($" of at most {int.MaxValue}", "", StringComparison.Ordinal);
        var limits = leaf.Limits() is { Length: > 0 } some ? $", {some}" : "";
        return $"| `{Short(leaf)}`<br>`{Variable(leaf)}` | {takes}{limits}{(leaf.Is.IsSecret ? "; a secret" : "")} "
            + $"| {leaf.DefaultInWords()} | {(leaf.Is.MayChange || Setting.Of(leaf.Path)!.Is.MayChange ? "no" : "yes")} | {leaf.Description()} |\n";
    }

    private static string Short(Setting setting) => setting.Path[(Setting.Section.Length + 1)..];

    private static string Variable(Setting setting) =>
        setting.Path.Replace(Setting.Number, "0", StringComparison.Ordinal).Replace(":", "__", StringComparison.Ordinal);
}
