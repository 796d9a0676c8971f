using OciRegistry.Azure;
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

        if (ServerConfiguration.AzureBlobs(configuration) is { } azure)
        {
            // Only what is right by itself can be tried.
            if (problems.Count == 0 && await AzureProbe.ProblemAsync(azure) is { } problem)
            {
                problems.Add(problem);
            }
        }
        else if (await FolderProblemAsync(configuration) is { } problem)
        {
            problems.Add(problem);
        }

        if (problems.Count > 0)
        {
            throw new StartupException(problems);
        }
    }
    private static ValueTask<string?> FolderProblemAsync(IConfiguration configuration) =>
        new FileSystemProbe(new FileSystemRoot(ServerConfiguration.DataFolder(configuration)))
            .ProblemAsync(CancellationToken.None);
}
