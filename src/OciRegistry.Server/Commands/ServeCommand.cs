using System.CommandLine;
using OciRegistry.Azure;
using OciRegistry.Server.Settings;
using OciRegistry.Server.Telemetry;

namespace OciRegistry.Server.Commands;

/// <summary>Serves the registry until the process is told to stop.</summary>
internal static class ServeCommand
{
    public const string Name = "serve";

    public static Command Create() => new ServerCommand(Name, "Serves the registry; so does no command at all.", RunAsync);

    public static async Task<int> RunAsync(CommandLine line)
    {
        var builder = ServerConfiguration.CreateBuilder(line);
        await StartupCheck.RunAsync(line, builder.Configuration);
        SettingsReload.Configure(builder, line);

        builder.Services.AddOciRegistry(registry => ServerConfiguration.Apply(builder.Configuration, registry));
        var listening = new Listening(builder);
        LogLineFormatter.Configure(builder);
        TraceContextOnly.Configure(builder);
        OtlpExport.Configure(builder);
        RegistryTransport.Configure(builder);
        DigitsEncoding.Configure(builder);
        TlsCertificates.Configure(builder);
        Stopping.Configure(builder);
        OperationsPort.Configure(builder);

        await using var app = builder.Build();
        RequestGuard.Use(app);
        Proxies.Use(app);
        PathPrefix.Use(app);
        app.UseOciRegistryCors();
        app.UseRouting(); // else it would come first
        OperationsPort.Restrict(app.MapOciRegistry(), isForOperations: false);
        OperationsPort.Restrict(app.MapOciRegistryOperations(), isForOperations: true);
        OperationsPort.Restrict(app.MapOciRegistryAdmin(), isForOperations: true);
        app.MapOciRegistryFallback();

        await listening.StartAsync(app);
        var operations = app.Services.GetRequiredService<OperationsPort>();
        Console.WriteLine(StartupMessage.For(
            app.Urls.Where(url => !operations.Has(url)),
            app.Urls.Where(operations.Has),
            app.Services.GetService<AzureContainer>()?.Address ?? ServerConfiguration.DataFolder(app.Configuration),
            ServerConfiguration.Auth(app.Configuration).IsRequired,
            ServerConfiguration.Redis(app.Configuration).EndPoints()));
        using var impatience = Stopping.OnSecondInterrupt(app);
        await app.WaitForShutdownAsync();
        return app.Services.GetRequiredService<WatchedListeners>().HasFailed ? 1 : 0;
    }
}
