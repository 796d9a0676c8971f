using OciRegistry.Server.Settings;

namespace OciRegistry.Server;

/// <summary>All that is wrong and can be known before listening, in one go.</summary>
internal static class StartupCheck
{
    public static void Run(CommandLine commandLine, IConfigurationRoot configuration)
    {
        var problems = new List<string>();
        problems.AddRange(commandLine.Problems);
        problems.AddRange(SettingsCheck.Problems(configuration));
        problems.AddRange(Listening.Problems(configuration));
        if (DataFolder.Problem(DataFolder.Of(configuration)) is { } problem)
        {
            problems.Add(problem);
        }

        if (problems.Count > 0)
        {
            throw new StartupException(problems);
        }
    }
}
