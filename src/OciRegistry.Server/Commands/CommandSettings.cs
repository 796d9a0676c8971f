using OciRegistry.Server.Settings;

namespace OciRegistry.Server.Commands;

/// <summary>The settings as the server would have them, for commands that do not serve.</summary>
internal static class CommandSettings
{
    /// <exception cref="CommandException">The server would not start with them.</exception>
    public static IConfigurationRoot Read(CommandLine line)
    {
        IConfigurationRoot configuration;
        try
        {
            configuration = ServerConfiguration.CreateBuilder(line).Configuration;
        }
        catch (StartupException unreadable)
        {
            throw CommandException.NotDone(unreadable.Problems);
        }

        var problems = SettingsCheck.Problems(configuration);
        return problems.Count == 0 ? configuration : throw CommandException.NotDone(problems);
    }
}
