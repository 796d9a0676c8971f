using OciRegistry.Auth;

namespace OciRegistry.Server.Settings;

/// <summary>Looks at the files of the settings every second, and says what came of a change.</summary>
/// <remarks>
/// The framework's own watching is off: it watches every folder below that of the file, which is the data by default.
/// </remarks>
/// <param name="refresh">Looks, and says what came of a change; null when there is none.</param>
/// <param name="areRejected">Whether what is in the files was refused.</param>
/// <param name="metrics">What is told of it.</param>
/// <param name="time">When it is time to look.</param>
/// <param name="logs">What hears of it.</param>
internal sealed partial class SettingsReload(
    Func<SettingsChange?> refresh, Func<bool> areRejected, RegistryMetrics metrics, TimeProvider time, ILoggerFactory logs)
    : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly ILogger _log = logs.CreateLogger<SettingsReload>();
    private readonly ILogger _audit = logs.CreateLogger(AuthFilesService.AuditCategory);

    /// <summary>Has the settings of a registry that is about to be served change with their files; they have been checked.</summary>
    public static void Configure(WebApplicationBuilder builder, CommandLine line)
    {
        var settings = new ChangingSettings(line, builder.Configuration);
        builder.Services.AddHostedService(services => new SettingsReload(
            settings.Refresh,
            () => settings.IsRejected,
            services.GetRequiredService<RegistryMetrics>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILoggerFactory>()));
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        metrics.FileRead("settings", isRejected: false);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                if (refresh() is { } change)
                {
                    Log(change);
                }

                metrics.FileRead("settings", areRejected());
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                LogFailed(_log, e); // a bug of ours: whatever is in a file, it must not end a registry that serves
            }
        }
    }

    private void Log(SettingsChange change)
    {
        foreach (var problem in change.Problems)
        {
            LogKept(_log, problem);
        }

        foreach (var taken in change.Taken)
        {
            if (taken.IsPolicies)
            {
                LogPolicies(_audit, taken.Path);
            }
            else
            {
                LogTaken(_log, taken.Path, taken.Value ?? "another", taken.Before ?? "one before");
            }
        }

        foreach (var later in change.Later)
        {
            LogLater(_log, later.Path, later.Value ?? "what it was");
        }
    }

    [LoggerMessage(LogLevel.Error, "The settings have changed into some that cannot be used, so those before still count. {Problem}")]
    private static partial void LogKept(ILogger logger, string problem);

    [LoggerMessage(LogLevel.Error, "The settings have changed, and could not be looked at; those before still count.")]
    private static partial void LogFailed(ILogger logger, Exception exception);

    [LoggerMessage(LogLevel.Information, "{Setting} is {Value} from here on; it was {Before}.")]
    private static partial void LogTaken(ILogger logger, string setting, string value, string before);

    [LoggerMessage(LogLevel.Information, "{Setting} has changed in the settings; what it says now counts from here on.")]
    private static partial void LogPolicies(ILogger logger, string setting);

    [LoggerMessage(LogLevel.Warning, "{Setting} has changed, which needs a restart; it stays {Value} until then.")]
    private static partial void LogLater(ILogger logger, string setting, string value);
}
