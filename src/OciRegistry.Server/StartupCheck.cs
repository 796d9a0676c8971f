using OciRegistry.Server.Settings;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Server;

/// <summary>All that is wrong and can be known before listening, in one go.</summary>
internal static class StartupCheck
{
    public static async Task RunAsync(CommandLine commandLine, IConfigurationRoot configuration)
    {
        var problems = new List<string>();
        problems.AddRange(commandLine.Problems);
        problems.AddRange(SettingsCheck.Problems(configuration));
        problems.AddRange(Listening.Problems(configuration));

        var folder = new FileSystemRoot(ServerConfiguration.DataFolder(configuration));
        if (await new FileSystemProbe(folder).ProblemAsync(CancellationToken.None) is { } problem)
        {
            problems.Add(problem);
        }

        if (problems.Count > 0)
        {
            throw new StartupException(problems);
        }
    }
}
