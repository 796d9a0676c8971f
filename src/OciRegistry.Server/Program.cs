using OciRegistry.Server;
using OciRegistry.Server.Commands;

var commandLine = CommandLine.Parse(args, ServerCommands.All);
if (commandLine.Answer is { } answer)
{
    Console.WriteLine(answer);
    return 0;
}

return await ServerCommands.RunAsync(commandLine);
