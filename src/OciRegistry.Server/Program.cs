using OciRegistry.Azure;
using OciRegistry.Server;
using OciRegistry.Server.Settings;

var commandLine = CommandLine.Parse(args);
if (commandLine.Answer is { } answer)
{
    Console.WriteLine(answer);
    return 0;
}

try
{
    var builder = ServerConfiguration.CreateBuilder(commandLine);
    await StartupCheck.RunAsync(commandLine, builder.Configuration);

    builder.Services.AddOciRegistry(registry => ServerConfiguration.Apply(builder.Configuration, registry));
    var listening = new Listening(builder);
    RegistryTransport.Configure(builder);
    TlsCertificates.Configure(builder);

    await using var app = builder.Build();
    Proxies.Use(app);
    app.MapOciRegistry();
    app.MapOciRegistryOperations();
    app.MapOciRegistryAdmin();
    app.MapOciRegistryFallback();

    await listening.StartAsync(app);
    Console.WriteLine(StartupMessage.For(
        app.Urls,
        app.Services.GetService<AzureContainer>()?.Address ?? ServerConfiguration.DataFolder(app.Configuration),
        ServerConfiguration.Redis(app.Configuration).EndPoints()));
    await app.WaitForShutdownAsync();
    return 0;
}
catch (StartupException problem)
{
    Console.Error.WriteLine(problem.Message);
    return 1;
}
