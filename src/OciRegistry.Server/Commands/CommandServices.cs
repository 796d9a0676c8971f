using Microsoft.Extensions.Options;
using OciRegistry.Auth;
using OciRegistry.Server.Settings;
using OciRegistry.Storage;

namespace OciRegistry.Server.Commands;

/// <summary>The registry's services, for commands: nothing listens, and nothing runs beside the command.</summary>
internal static class CommandServices
{
    /// <param name="configuration">Settings without problems.</param>
    /// <param name="usesStorage">Whether the storage has to be there; without, nothing touches it.</param>
    /// <param name="usesAuthFiles">Whether the files that the settings of Auth name have to be right.</param>
    /// <exception cref="CommandException">What is to be used is not as it has to be.</exception>
    public static async Task<ServiceProvider> OpenAsync(
        IConfiguration configuration, bool usesStorage, bool usesAuthFiles)
    {
        var services = new ServiceCollection()
            .AddLogging(logging => logging
                .SetMinimumLevel(LogLevel.Warning)
                .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace)) // the output is the command's
            .AddOciRegistry(registry => ServerConfiguration.Apply(configuration, registry))
            .BuildServiceProvider();
        try
        {
            List<string> problems =
            [
                .. usesAuthFiles ? AuthFileProblems(services) : [],
                .. usesStorage ? await StorageProblemsAsync(services) : [],
            ];
            return problems.Count == 0 ? services : throw CommandException.NotDone(problems);
        }
        catch
        {
            await services.DisposeAsync();
            throw;
        }
    }

    private static IEnumerable<string> AuthFileProblems(IServiceProvider services)
    {
        try
        {
            _ = services.GetRequiredService<AuthFiles>();
            return [];
        }
        catch (OptionsValidationException wrong)
        {
            return wrong.Failures;
        }
    }

    private static async Task<IEnumerable<string>> StorageProblemsAsync(IServiceProvider services) =>
        await services.GetRequiredService<IStorageProbe>().ProblemAsync(CancellationToken.None) is { } problem ? [problem.Message] : [];
}
