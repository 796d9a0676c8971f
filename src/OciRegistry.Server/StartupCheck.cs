using OciRegistry.Auth;
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
        problems.AddRange(SettingsCheck.Problems(configuration, out var readable));
        problems.AddRange(Listening.Problems(configuration));
        problems.AddRange(Proxies.Problems(configuration));
        var auth = ServerConfiguration.Auth(readable);
        problems.AddRange(Listening.OpennessProblems(configuration, auth));
        problems.AddRange(AuthFiles.Problems(auth));

        if (!ServerConfiguration.UsesAzureBlobs(configuration))
        {
            var folder = new FileSystemRoot(ServerConfiguration.DataFolder(configuration));
            Add(await new FileSystemProbe(folder).ProblemAsync(CancellationToken.None));
        }
        else if (problems.Count == 0) // only what is right by itself can be tried
        {
            Add(await AzureProbe.ProblemAsync(ServerConfiguration.AzureBlobs(configuration)));
        }

        if (problems.Count > 0)
        {
            throw new StartupException(problems);
        }

        void Add(string? problem)
        {
            if (problem is not null)
            {
                problems.Add(problem);
            }
        }
    }
}
