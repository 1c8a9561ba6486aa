for (let i = 0; i < 1_000_000; i++) console.log("line", i);
console.error("not stopped");
