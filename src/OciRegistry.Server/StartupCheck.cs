using OciRegistry.Auth;
using OciRegistry.Azure;
using OciRegistry.Server.Settings;
using OciRegistry.Server.Telemetry;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Server;

/// <summary>All that is wrong and can be known before listening, in one go.</summary>
internal static class StartupCheck
{
    public static async Task RunAsync(CommandLine commandLine, IConfigurationRoot configuration)
    {
        List<string> problems = [.. commandLine.Problems, .. Problems(configuration)];
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

        void Add(StorageProblem? problem)
        {
            if (problem is { IsFull: false })
            {
                problems.Add(problem.Message);
            }
        }
    }

    /// <summary>What is wrong with the settings, and with the files that they name for who may do what.</summary>
    public static IReadOnlyList<string> Problems(IConfigurationRoot configuration)
    {
        var problems = SettingsCheck.Problems(configuration, out var readable);
        var auth = ServerConfiguration.Auth(readable);
        return
        [
            .. problems,
            .. LogLevels.Problems(configuration),
            .. Listening.Problems(configuration),
            .. Proxies.Problems(configuration),
            .. OtlpSettings.Problems(configuration),
            .. Listening.OpennessProblems(configuration, auth),
            .. AuthFiles.Problems(auth),
        ];
    }
}
